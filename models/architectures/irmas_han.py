"""Predominant instrument by Han, Kim and Lee 2017: pairs of 3 x 3 convolutions under one extra pixel of zeros, global
maximum, dense 1024.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import timbre_model
from timbre_data.models.layers.pooling import Largest
from timbre_data.models.layers.spectrogram import MelFrontend


def _frontend(rate: int, options: Any) -> MelFrontend:
    """128 mel bands, FFT 1024, hop 512, dB, 43 frames: one second at the published 22.05 kHz."""
    return MelFrontend(rate=rate, n_fft=1024, hop_length=512, n_mels=128, frames=43, scale="db")


def _body(shape: Shape, options: Any) -> nn.Module:
    """Weights begin uniform, biases at zero (Glorot and Bengio 2010): by PyTorch's own beginning so little comes
    through eight layers that nothing is learned.
    """
    layers: list[nn.Module] = []
    before = 1
    for after in (32, 64, 128, 256):
        layers += [nn.Conv2d(before, after, 3, padding=2), nn.LeakyReLU(0.33)]  # "same" and one pixel more
        layers += [nn.Conv2d(after, after, 3, padding=2), nn.MaxPool2d(3) if after < 256 else Largest()]
        layers += [nn.LeakyReLU(0.33), *([nn.Dropout(0.25)] if after < 256 else [])]
        before = after
    layers += [nn.Flatten(), nn.Linear(256, 1024), nn.LeakyReLU(0.33), nn.Dropout(0.5), nn.Linear(1024, shape.outputs)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


MODEL = timbre_model(
    _frontend,
    _body,
    summary="Predominant instrument: a deep network of 3 x 3 filters.",
    source="Han, Kim and Lee 2017, as compared in Pons et al. 2017, Table II",
    batch_size=64,
    multi_label=True,
    published={"11 instruments": (Shape(0, 11, samples=22_050, rate=22_050), 1_446_123)},
)
