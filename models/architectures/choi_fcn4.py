"""Auto-tagging by the fully convolutional FCN-4 of Choi et al. 2016, whose quoted 22 million parameters no published
layer list gives.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import timbre_model
from timbre_data.models.layers.spectrogram import MelFrontend


def _frontend(rate: int, options: Any) -> MelFrontend:
    """96 mel bands, FFT 512, hop 256, dB, 1366 frames: 29 s at the published 12 kHz."""
    return MelFrontend(rate=rate, n_fft=512, hop_length=256, n_mels=96, frames=1366, scale="db")


def _body(shape: Shape, options: Any) -> nn.Module:
    layers: list[nn.Module] = []
    for before, after, pool in ((1, 128, (2, 4)), (128, 384, (4, 5)), (384, 768, (3, 8)), (768, 2048, (4, 8))):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.MaxPool2d(pool), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(2048, shape.outputs)]
    return nn.Sequential(*layers)


MODEL = timbre_model(
    _frontend,
    _body,
    summary="Auto-tagging FCN-4: four 3 x 3 convolutions, pooled until one cell is left.",
    source="Choi, Fazekas and Sandler 2016, as compared in Pons et al. 2017, Table III",
    batch_size=16,
    counts_statistics=True,
    multi_label=True,
    published={"50 tags": (Shape(0, 50, samples=348_000, rate=12_000), 17_372_594)},
)
