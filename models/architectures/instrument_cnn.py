"""The instrument CNN (Sivalingam et al.): three 3 x 3 convolutions, global average, dense 256."""

from __future__ import annotations

from typing import Any

from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import timbre_model
from timbre_data.models.layers.spectrogram import MelFrontend


def _frontend(rate: int) -> MelFrontend:
    """128 mel bands, padded or cut to 128 frames, brought to [0, 1] by each spectrogram's own extremes."""
    return MelFrontend(rate=rate, n_fft=2048, hop_length=512, n_mels=128, frames=128, scale="unit")


def _body(shape: Shape, options: Any) -> nn.Module:
    """ReLU after a max pool gives what it gives before, and has a quarter of the work."""
    layers: list[nn.Module] = []
    for before, after in ((1, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.MaxPool2d(2), nn.ReLU()]
    layers += [
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, shape.outputs),
    ]
    return nn.Sequential(*layers)


MODEL = timbre_model(
    _frontend,
    _body,
    summary="Instrument CNN: three convolutions over a log-mel spectrogram in [0, 1], averaged.",
    source="Sivalingam et al., instrument recognition on IRMAS (78.47 %)",
    batch_size=32,
    learning_rate=5e-4,
    learning_rate_decay=0.5,
    max_epochs=60,
    patience=10,
    counts_statistics=True,
    l2_convolutions=1e-4,
    standardised="no",
    published={
        "11 classes": (Shape(0, 11, samples=66_150, rate=22_050), 440_075),
        "4 classes": (Shape(0, 4, samples=66_150, rate=22_050), 438_276),
    },
)
