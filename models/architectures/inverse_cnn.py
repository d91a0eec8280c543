"""An inverse synthesiser that works: log-mel in, positions as classes, other knobs as distributions over their range.

Where the published network (`inverse_synth`) gives the middle of each range, this one
- sees a log-mel spectrogram at the sound's own level, and where things happen in it: a plain strided CNN without global
pooling;
- treats range, waveform and other positions as classes (a regression puts a saw between a triangle and a pulse);
- predicts every other knob as a distribution over 32 bins and answers with its mean, as is done for pitch (Kim et al.
2018, CREPE) and
  synth parameters (Yee-King et al. 2018; Barkan et al. 2019, InverSynth): two patches that sound alike then do not pull
  the weights apart;
- learns from knobs that can be heard only.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.layers.shaped_filters import channels_last
from timbre_data.models.layers.spectrogram import mel_matrix
from timbre_data.schemas.base import Frozen

BINS = 32
BLUR = 0.75
"""Deviation, in bins, of the bell around a label that the network learns to give."""


class InverseCnnOptions(Frozen):
    """The spectrogram and the width of the network."""

    n_fft: int = Field(2048, ge=64, description="FFT length in samples")
    hop_length: int = Field(690, ge=16, description="hop between frames in samples")
    n_mels: int = Field(96, ge=16, description="number of mel bands")
    width: int = Field(32, ge=4, description="channels of the first convolution")
    hidden: int = Field(512, ge=8, description="units of the dense layer")


class LogMel(nn.Module):
    """Sounds [shape=(n, samples)] to log-mel at their own level, 100 dB brought to [-1, 1] [shape=(n, n_mels,
    frames)].
    """

    window: torch.Tensor
    bands: torch.Tensor

    def __init__(self, rate: int, samples: int, options: InverseCnnOptions) -> None:
        super().__init__()
        self._options = options
        self.shape = (options.n_mels, samples // options.hop_length + 1)
        self.register_buffer("window", torch.hann_window(options.n_fft), persistent=False)
        self.register_buffer("bands", mel_matrix(rate, options.n_fft, options.n_mels), persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = torch.stft(
                audio.float(), self._options.n_fft, self._options.hop_length, window=self.window,
                center=True, pad_mode="constant", return_complex=True,
            )  # fmt: skip
            power = torch.matmul(self.bands, spectrum.real.square() + spectrum.imag.square())
            return (10 * torch.log10(power + 1e-9) + 60) / 50


class InverseCnn(nn.Module):
    """Sounds to one group of logits a knob: its positions, or bins of its range."""

    centres: torch.Tensor

    def __init__(self, shape: Shape, options: InverseCnnOptions) -> None:
        super().__init__()
        self.front = LogMel(shape.rate, shape.samples, options)
        self._positions = shape.positions or (0,) * shape.outputs
        self.register_buffer("centres", torch.linspace(0, 1, BINS), persistent=False)
        w = options.width
        convolutions: list[nn.Module] = []
        for before, after, size in ((1, w, 5), (w, 2 * w, 3), (2 * w, 3 * w, 3), (3 * w, 4 * w, 3)):
            convolutions += [nn.Conv2d(before, after, size, 2, size // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.convolutions = nn.Sequential(*convolutions)
        bins, frames = (-(-size // 16) for size in self.front.shape)
        self.hidden = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(4 * w * bins * frames, options.hidden), nn.ReLU(), nn.Dropout(0.1)
        )
        self.heads = nn.Linear(options.hidden, sum(count or BINS for count in self._positions))
        channels_last(self)

    def forward(self, features: torch.Tensor, *, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)], or what `frontend` makes of them [shape=(n, bins, frames)], to logits
        [shape=(n, sum of heads)].
        """
        x = audio if audio.dim() == 3 else self.front(audio)
        x = x.float()[:, None].contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.heads(self.hidden(self.convolutions(x).flatten(1)))
        return logits.float()

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn logits into normalized values [shape=(n, outputs)]: the likeliest position, or the mean of the
        distribution.
        """
        values = []
        for count, part in zip(self._positions, self._groups(logits), strict=True):
            if count:
                values.append(part.argmax(dim=1) / (count - 1))
            else:
                values.append(torch.softmax(part, dim=1) @ self.centres)
        return torch.stack(values, dim=1)

    def loss(
        self, logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, identifiable: torch.Tensor
    ) -> torch.Tensor:
        """Mean cross-entropy over the parameters that apply to a row and are identifiable, each relative to its number
        of bins.
        """
        clear = mask & identifiable
        total = logits.new_zeros(())
        for i, (count, part) in enumerate(zip(self._positions, self._groups(logits), strict=True)):
            audible_rows = clear[:, i]
            if not audible_rows.any():
                continue
            logs, label = torch.log_softmax(part[audible_rows], dim=1), labels[audible_rows, i]
            if count:
                loss = F.nll_loss(logs, torch.round(label * (count - 1)).long(), reduction="sum")
            else:
                bell = torch.exp(-0.5 * ((label[:, None] - self.centres) * (BINS - 1) / BLUR).square())
                mean = logs.exp() @ self.centres
                loss = -(bell / bell.sum(dim=1, keepdim=True) * logs).sum() + 20 * (mean - label).square().sum()
            total = total + loss
        return total / clear.sum().clamp(min=1)

    def _groups(self, logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return logits.split([count or BINS for count in self._positions], dim=1)


def _build(shape: Shape, options: InverseCnnOptions) -> nn.Module:
    return InverseCnn(shape, options)


MODEL = Model(
    summary="Inverse synthesiser that works: log-mel, positions as classes, other knobs as distributions over their range.",
    source="ours, after InverSynth (Barkan et al. 2019) and the output of CREPE (Kim et al. 2018)",
    task="regression",
    input="audio",
    frontend=lambda shape, options: LogMel(shape.rate, shape.samples, options),
    features=(),
    build=_build,
    options=InverseCnnOptions,
    batch_size=128,
    learning_rate=1e-3,
    learning_rate_decay=0.3,
    max_epochs=30,
    patience=6,
)
