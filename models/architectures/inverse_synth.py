"""The published inverse synthesiser (Assayag): a spectrogram, three convolutions, four dense layers of 800, a sigmoid a
knob.

What it is known for is its failure: with 10,000 sounds its outputs stay constant, at the middle of each range. It is
here to be compared with.
"""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from timbre_data.models.architectures import Model, Shape
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UsageError


class InverseSynthOptions(Frozen):
    """Published: a window of 1500, FFT of 10,000 (5001 bins), 4 layers of 800; the successor experiment averages to 500
    bins.
    """

    window: int = Field(1500, ge=16, description="window length in samples")
    n_fft: int = Field(10_000, ge=16, description="FFT length in samples")
    bins: int = Field(5001, ge=8, description="fewer than n_fft / 2 + 1: neighbours are averaged")
    layers: int = Field(4, ge=1, le=16, description="number of dense layers")
    neurons: int = Field(800, ge=1, description="units per dense layer")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window > self.n_fft:
            raise ValueError(f"window = {self.window} does not fit into n_fft = {self.n_fft}")
        return self


class NormalisedSpectrogram(nn.Module):
    """Sounds [shape=(n, samples)] to magnitudes with their largest at 1 [shape=(n, bins, frames)]; frames do not
    overlap.
    """

    window: torch.Tensor

    def __init__(self, samples: int, options: InverseSynthOptions) -> None:
        super().__init__()
        self._options = options
        self.shape = (min(options.bins, options.n_fft // 2 + 1), samples // options.window + 1)
        self.register_buffer("window", torch.hann_window(options.window), persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        o = self._options
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = torch.stft(
                audio.float(), o.n_fft, o.window, o.window, self.window, center=True, pad_mode="constant", return_complex=True
            ).abs()  # fmt: skip
            if o.bins < spectrum.shape[1]:
                spectrum = F.adaptive_avg_pool1d(spectrum.transpose(1, 2), o.bins).transpose(1, 2)
            return spectrum / spectrum.amax(dim=(1, 2), keepdim=True).clamp(min=1e-9)


class InverseSynth(nn.Module):
    """Sounds to knob positions in [0, 1]."""

    def __init__(self, shape: Shape, options: InverseSynthOptions) -> None:
        super().__init__()
        self.front = NormalisedSpectrogram(shape.samples, options)
        convolutions: list[nn.Module] = []
        for channels in (1, 32, 32):
            convolutions += [nn.Conv2d(channels, 32, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()]
        self.convolutions = nn.Sequential(*convolutions)
        bins, frames = self.front.shape
        width = 32 * (bins // 8) * (frames // 8)
        if not width:
            raise UsageError(
                f"inverse_synth halves its {bins} x {frames} spectrogram three times: these sounds are too short; set options.window lower."
            )
        dense: list[nn.Module] = []
        for _ in range(options.layers):
            dense += [nn.Linear(width, options.neurons), nn.ReLU()]
            width = options.neurons
        self.dense = nn.Sequential(*dense, nn.Linear(width, shape.outputs))
        for module in self.modules():
            bound = 0.5 if isinstance(module, nn.Conv2d) else 0.1
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.uniform_(module.weight, -bound, bound)

    def forward(self, features: torch.Tensor, *, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)], or what `frontend` makes of them [shape=(n, bins, frames)], to [shape=(n,
        outputs)].
        """
        x = audio if audio.dim() == 3 else self.front(audio)
        return torch.sigmoid(self.dense(self.convolutions(x.float()[:, None]).flatten(1)))


def _build(shape: Shape, options: InverseSynthOptions) -> nn.Module:
    return InverseSynth(shape, options)


PUBLISHED = Shape(0, 12, samples=44_100, rate=44_100)
MODEL = Model(
    summary="Inverse synthesiser as published: spectrogram, 3 convolutions of 5 x 5, 4 x 800, sigmoids. In the paper its outputs stay constant.",
    source="Assayag, inverse synthesis with a CNN",
    task="regression",
    input="audio",
    frontend=lambda shape, options: NormalisedSpectrogram(shape.samples, options),
    features=(),
    build=_build,
    options=InverseSynthOptions,
    batch_size=5,
    learning_rate=1.0,
    optimizer="adadelta",
    optimizer_options={"rho": 0.45, "weight_decay": 5e-4},
    max_epochs=40,
    patience=40,
    published={
        # the text gives "Flatten 1875" a map: 625 x 3, of 5001 x 30 halved three times
        "5001 bins": (PUBLISHED, 832 + 2 * 25_632 + (32 * 1875 + 1) * 800 + 3 * 801 * 800 + 801 * 12),
    },
)
