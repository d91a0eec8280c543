"""AutoFX (D'Hooghe 2022): a residual CNN over a spectrogram, steered by the effect class through FiLM.

Trunk 3,106,368 + FiLM 12,544 (6 classes) + head 532,495, or 557,071 with 48 features: 3,651,407 and 3,675,983
parameters.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.layers.film import Film
from timbre_data.models.layers.shaped_filters import channels_last
from timbre_data.models.layers.spectrogram import Spectrogram
from timbre_data.schemas.base import Frozen

PADDED = 35_000
"""Samples to which the paper pads its sounds (1.59 s at 22.05 kHz)."""


class AutofxOptions(Frozen):
    """The spectrogram of the network. Published: linear power, FFT 1024; without a logarithm. The report's "25 %
    overlap", read literally, is a hop of 768 (`hop_length: 768`); the default here is 256, an overlap of 75 %.
    """

    spectrogram: Literal["power", "log_power", "log_mel"] = Field(
        "power", description="front end: power, log_power or log_mel"
    )
    n_fft: int = Field(1024, ge=64, le=32768, description="FFT length in samples")
    hop_length: int = Field(256, ge=16, description="hop between frames in samples")
    n_mels: int = Field(128, ge=16, le=512, description="number of mel bands")


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm, FiLM after the second, and a shortcut (a convolution where the size
    changes).
    """

    def __init__(self, channels_in: int, channels: int, stride: int, conditioning: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, 1)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second_norm = nn.BatchNorm2d(channels)
        self.film = Film(conditioning, channels) if conditioning else None
        self.shortcut = (
            nn.Sequential(nn.Conv2d(channels_in, channels, 3, stride, 1), nn.BatchNorm2d(channels))
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        """Map [shape=(n, channels_in, bins, frames)] and class probabilities [shape=(n, conditioning)] to the block's
        output.
        """
        y = self.first_norm(self.first(x)).relu_()
        y = self.second_norm(self.second(y))
        if self.film is not None:
            assert condition is not None
            y = self.film(y, condition)
        return (y + self.shortcut(x)).relu_()

    def fuse(self) -> None:
        """Take the batch norms into the convolutions before them."""
        self.first, self.first_norm = fused(self.first, self.first_norm)
        self.second, self.second_norm = fused(self.second, self.second_norm)
        if isinstance(self.shortcut, nn.Sequential):
            self.shortcut[0], self.shortcut[1] = fused(*self.shortcut)


def fused(convolution: nn.Module, norm: nn.Module) -> tuple[Any, Any]:
    """A convolution that does what both did, and a layer that does nothing in place of the norm."""
    return fuse_conv_bn_eval(cast(nn.Conv2d, convolution), cast(nn.BatchNorm2d, norm)), nn.Identity()


class Autofx(nn.Module):
    """Audio (and features, and class probabilities) to parameters in [0, 1]."""

    def __init__(self, shape: Shape, options: AutofxOptions) -> None:
        super().__init__()
        self.spectrogram = Spectrogram(
            kind=options.spectrogram,
            rate=shape.rate,
            samples=max(shape.samples, PADDED),
            n_fft=options.n_fft,
            hop_length=options.hop_length,
            n_mels=options.n_mels,
        )
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        widths = (64, 64, 64, 128, 128, 256, 256)
        self.blocks = nn.ModuleList(
            Block(before, after, 2 if after > before else 1, shape.conditioning)
            for before, after in itertools.pairwise(widths)
        )
        height, width = (-(-size // 16) for size in self.spectrogram.shape)
        self.pool = nn.AvgPool2d((max(1, height // 4), min(8, width)))  # 8 x 8 on the published input
        pooled = (height // self.pool.kernel_size[0]) * (width // self.pool.kernel_size[1])  # type: ignore[index]  # a pair
        self.hidden = nn.Linear(256 * pooled + shape.inputs, 512)
        self.output = nn.Linear(512, shape.outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) or module in (self.hidden, self.output):
                nn.init.xavier_uniform_(cast(nn.Linear, module).weight)
        channels_last(self)

    def forward(
        self, features: torch.Tensor, probabilities: torch.Tensor | None = None, *, audio: torch.Tensor
    ) -> torch.Tensor:
        """Map features [shape=(n, inputs)], probabilities [shape=(n, conditioning)] and sounds [shape=(n, samples)] to
        [shape=(n, outputs)].
        """
        x = self.stem(self.spectrogram(audio)[:, None].contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = block(x, probabilities)
        x = torch.cat((self.pool(x).flatten(1), features), dim=1)
        return torch.sigmoid(self.output(torch.relu(self.hidden(x))).float())

    def for_inference(self) -> None:
        """Take the batch norms into the convolutions: it cannot be trained any more."""
        self.stem[0], self.stem[1] = fused(self.stem[0], self.stem[1])
        for block in self.blocks:
            cast(Block, block).fuse()
        channels_last(self)


def _build(shape: Shape, options: AutofxOptions) -> nn.Module:
    return Autofx(shape, options)


MODEL = Model(
    summary="Parameter regressor: residual CNN over a power spectrogram, FiLM by the effect's class, optionally with 48 features.",
    source="D'Hooghe 2022, AutoFX",
    task="regression",
    conditioned=True,
    input="audio",
    features=(),
    build=_build,
    options=AutofxOptions,
    batch_size=64,
    learning_rate=1e-4,
    max_epochs=20,
    patience=20,
    published={
        "AutoFX": (Shape(0, 15, 6, samples=33_075, rate=22_050), 3_651_407),
        "AutoFX + features": (Shape(48, 15, 6, samples=33_075, rate=22_050), 3_675_983),
        "AutoFX, 11 classes": (Shape(0, 15, 11, samples=33_075, rate=22_050), 3_660_367),
    },
)
