"""The instrument CNN (Sivalingam et al.): three 3 x 3 convolutions, global average, dense 256.

What the paper names as its future work is an option: a recurrent layer over time, or attention, in the place of the
average; a constant-Q spectrogram in the place of the mel one.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from timbre_data.models.architectures import Shape
from timbre_data.models.architectures._timbre import timbre_model
from timbre_data.models.layers.constant_q import ConstantQ
from timbre_data.models.layers.shaped_filters import OverSpectrogram
from timbre_data.models.layers.spectrogram import Frontend, MelFrontend
from timbre_data.schemas.base import Frozen


def _frontend(rate: int, options: InstrumentOptions) -> Frontend:
    """128 mel bands or constant-Q bins, padded or cut to 128 frames, brought to [0, 1] by each spectrogram's own
    extremes.
    """
    if options.input == "constant_q":
        return ConstantQ(rate=rate, hop_length=512, frames=128)
    return MelFrontend(rate=rate, n_fft=2048, hop_length=512, n_mels=128, frames=128, scale="unit")


class InstrumentOptions(Frozen):
    """What the network is given, and how the convolutions' output becomes one vector."""

    input: Literal["mel", "constant_q"] = Field(
        "mel",
        description="mel: 128 mel bands, as published; constant_q: 128 bins, 16 an octave from C1 (32.7 Hz), of a constant-Q transform",
    )
    summary: Literal["average", "recurrent", "attention"] = Field(
        "average",
        description="average: over all places, as published; recurrent: a bidirectional GRU over time; attention: a weighted average whose weights are learned",
    )


class Recurrent(nn.Module):
    """A bidirectional GRU over the frames of a map [shape=(n, channels, bands, frames)], averaged over bands before
    and over frames after it [shape=(n, channels, 1, 1)].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.GRU(channels, channels // 2, batch_first=True, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One vector for each map."""
        states = self.layer(x.mean(dim=2).transpose(1, 2).contiguous())[0]
        result: torch.Tensor = states.mean(dim=1)[:, :, None, None]
        return result


class Attention(nn.Module):
    """The average of a map [shape=(n, channels, bands, frames)] over its places, each weighted by a soft-max over a
    linear score of its channels [shape=(n, channels, 1, 1)]; at first all alike.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 1)
        nn.init.zeros_(self.score.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One vector for each map."""
        weights = self.score(x).flatten(2).softmax(dim=2)
        result: torch.Tensor = (x.flatten(2) * weights).sum(dim=2)[:, :, None, None]
        return result


def _summary(kind: str) -> nn.Module:
    if kind == "recurrent":
        return Recurrent(256)
    return Attention(256) if kind == "attention" else nn.AdaptiveAvgPool2d(1)


def _body(shape: Shape, options: InstrumentOptions) -> nn.Module:
    """ReLU after a max pool gives what it gives before, and has a quarter of the work."""
    layers: list[nn.Module] = []
    for before, after in ((1, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.MaxPool2d(2), nn.ReLU()]
    layers += [
        _summary(options.summary),
        nn.Flatten(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, shape.outputs),
    ]
    return OverSpectrogram(*layers)


MODEL = timbre_model(
    _frontend,
    _body,
    summary="Instrument CNN: three convolutions over a log-mel spectrogram in [0, 1], averaged.",
    options=InstrumentOptions,
    source="Sivalingam et al., instrument recognition on IRMAS (78.47 % over four classes)",
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
