"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from timbre_data.pipeline.features._mel import mel_filters


def centred_stft(audio: torch.Tensor, window: torch.Tensor, hop_length: int) -> torch.Tensor:
    """The complex STFT of sounds [shape=(n, samples)] padded with zeros at both ends, the window as long as the transform: [shape=(n, bins, frames)]."""
    return torch.stft(
        audio, len(window), hop_length, window=window, center=True, pad_mode="constant", return_complex=True
    )


class Film(nn.Module):
    """Feature-wise linear modulation (Perez et al. 2018): each channel times gamma plus beta, both linear in a condition.

    Initialised as in D'Hooghe 2022: weights of gamma N(1, 0.1), of beta N(0, 0.1).
    """

    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Linear(condition, channels)
        self.beta = nn.Linear(condition, channels)
        nn.init.normal_(self.gamma.weight, 1.0, 0.1)
        nn.init.normal_(self.beta.weight, 0.0, 0.1)
        nn.init.zeros_(self.gamma.bias)
        nn.init.zeros_(self.beta.bias)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Modulate [shape=(n, channels, bins, frames)] by a condition [shape=(n, condition)]."""
        gamma, beta = self.gamma(condition), self.beta(condition)
        return gamma[:, :, None, None] * x + beta[:, :, None, None]


class Spectrogram(nn.Module):
    """Sounds [shape=(n, samples)] to spectrograms [shape=(n, bins, frames)], peak-normalised and padded with zeros first.

    "power" is |X|^2 of a centred Hann STFT; "log_power" and "log_mel" are in dB (floor -100 dB), brought near [-1, 1].
    """

    window: torch.Tensor
    bands: torch.Tensor

    def __init__(
        self,
        *,
        kind: Literal["power", "log_power", "log_mel"],
        rate: int,
        samples: int,
        n_fft: int,
        hop_length: int,
        n_mels: int,
    ) -> None:
        super().__init__()
        self._kind, self._samples, self._hop_length = kind, samples, hop_length
        self.shape = (n_mels if kind == "log_mel" else n_fft // 2 + 1, samples // hop_length + 1)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        if kind == "log_mel":
            self.register_buffer("bands", mel_matrix(rate, n_fft, n_mels), persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        with torch.autocast(audio.device.type, enabled=False):
            audio = audio.float()
            audio = audio / audio.abs().amax(dim=1, keepdim=True).clamp(min=1e-6)
            audio = F.pad(audio, (0, self._samples - audio.shape[1]))
            spectrum = centred_stft(audio, self.window, self._hop_length)
            power = spectrum.real.square() + spectrum.imag.square()
            if self._kind == "power":
                return power
            if self._kind == "log_mel":
                power = torch.matmul(self.bands, power)
            return 10 * torch.log10(power + 1e-10) / 50


@dataclass(frozen=True)
class FilterShape:
    """So many filters of one shape over a spectrogram: `height` bins by `width` frames.

    A musically motivated first layer (Pons et al. 2017) has several shapes side by side. Where a filter is lower than the spectrogram and
    what it finds is pooled over all its positions, it answers to a timbre at any *pitch*; pooled over time, at any *duration* up to its width;
    with spectrograms in dB or standardised, at any *loudness*. Tall, narrow shapes see the distribution of partials, wide ones their course.
    """

    count: int
    height: int
    width: int


class ShapedFilters(nn.Module):
    """Convolutions of several shapes over one spectrogram [shape=(n, 1, bins, frames)], side by side.

    `padding` "valid" adds nothing, "time" keeps the number of frames, "same" the spectrogram's size. `norm` puts a batch norm after each. What
    comes out is pooled (largest value) by `pool` (bins, frames; 0 is all there are) and joined along channels: with `pool` all shapes must
    then have one size, or `flat` lays them out [shape=(n, features)].
    """

    def __init__(
        self,
        shapes: Sequence[FilterShape],
        *,
        padding: Literal["valid", "time", "same"],
        pool: tuple[int, int],
        norm: bool = False,
        dropout: float = 0.0,
        flat: bool = False,
    ) -> None:
        super().__init__()
        self.shapes, self._padding, self._pool, self._flat = tuple(shapes), padding, pool, flat
        self.branches = nn.ModuleList(nn.Conv2d(1, s.count, (s.height, s.width)) for s in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(s.count) if norm else nn.Identity() for s in shapes)
        self.dropout = nn.Dropout(dropout)
        for branch in self.branches:
            assert isinstance(branch, nn.Conv2d)
            nn.init.kaiming_uniform_(branch.weight)
            assert branch.bias is not None
            nn.init.zeros_(branch.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Filter, bend (ELU), pool and join."""
        joined = []
        for shape, branch, norm in zip(self.shapes, self.branches, self.norms, strict=True):
            high = shape.height - 1 if self._padding == "same" else 0
            wide = shape.width - 1 if self._padding in ("time", "same") else 0
            padded = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
            assert isinstance(branch, nn.Conv2d)
            y = norm(_correlated(padded, branch))
            # the largest of what ELU gives is ELU of the largest; one axis after the other, PyTorch pools several times faster
            y = F.max_pool2d(y, (self._pool[0] or y.shape[2], 1))
            y = F.elu(F.max_pool2d(y, (1, self._pool[1] or y.shape[3])))
            joined.append(self.dropout(y.flatten(1) if self._flat else y))
        return torch.cat(joined, dim=1)


TALL, MANY = 16, 32
"""So high, and so many, filters over one channel are faster on a CPU as filters over as many channels as they are high."""


def _correlated(x: torch.Tensor, branch: nn.Conv2d) -> torch.Tensor:
    """The convolution of one channel [shape=(n, 1, bins, frames)]; tall filters have the bands below each band as its channels."""
    height = branch.kernel_size[0]
    if x.device.type != "cpu" or height < TALL or branch.out_channels < MANY:
        filtered: torch.Tensor = branch(x)
        return filtered
    if torch.is_autocast_enabled("cpu"):
        x = x.to(torch.get_autocast_dtype("cpu"))
    bands = x[:, 0].unfold(1, height, 1).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    return F.conv2d(bands, branch.weight.transpose(1, 2), branch.bias)


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its weights in the order that convolutions are fastest in on a CPU, and that tensor cores want."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub has no such overload
    return network


class Largest(nn.Module):
    """The maximum over frequency and time [shape=(n, channels)]; unlike PyTorch's adaptive pooling its gradient is the same in every run on a GPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [shape=(n, channels, bands, frames)] to [shape=(n, channels)]."""
        return x.amax(dim=(2, 3))


class MelFront(nn.Module):
    """Sounds [shape=(n, samples)] to mel spectrograms [shape=(n, n_mels, frames)], padded or cut to `frames`.

    "db": 10 log10 of power, 80 dB below its top at most; "log": log10(10,000 x + 1); "unit": dB brought to [0, 1] by its own extremes.
    """

    window: torch.Tensor
    bands: torch.Tensor

    def __init__(
        self,
        *,
        rate: int,
        n_fft: int,
        hop_length: int,
        n_mels: int,
        frames: int,
        scale: Literal["db", "log", "unit"],
        highest_hz: float | None = None,
    ) -> None:
        super().__init__()
        self._hop_length, self._frames, self._scale = hop_length, frames, scale
        self.shape = (n_mels, frames)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("bands", mel_matrix(rate, n_fft, n_mels, highest_hz), persistent=False)

    def whole(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)] to all their frames, a hop apart [shape=(n, n_mels, samples // hop_length + 1)]."""
        with torch.autocast(audio.device.type, enabled=False):
            return self._scaled(self._mel(audio))

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        with torch.autocast(audio.device.type, enabled=False):
            mel = self._mel(audio)
            mel = F.pad(mel, (0, max(self._frames - mel.shape[2], 0)))[:, :, : self._frames]
            return self._scaled(mel)

    def _mel(self, audio: torch.Tensor) -> torch.Tensor:
        spectrum = centred_stft(audio.float(), self.window, self._hop_length)
        return torch.matmul(self.bands, spectrum.real.square() + spectrum.imag.square())

    def _scaled(self, mel: torch.Tensor) -> torch.Tensor:
        if self._scale == "log":
            return torch.log10(10_000 * mel + 1)
        decibels = 10 * torch.log10(mel + 1e-10)
        top = decibels.amax(dim=(1, 2), keepdim=True)
        decibels = torch.maximum(decibels, top - 80)
        if self._scale == "db":
            return decibels
        low = decibels.amin(dim=(1, 2), keepdim=True)
        return (decibels - low) / (top - low).clamp(min=1e-6)


class Standardise(nn.Module):
    """Subtract the training set's mean and divide by its deviation: of the whole ("all"), of each band, or of each cell (band and frame)."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, shape: tuple[int, int], each: Literal["all", "band", "cell"]) -> None:
        super().__init__()
        bins, frames = shape
        self._over = {"all": (0, 1, 2), "band": (0, 2), "cell": (0,)}[each]
        width = frames if each == "cell" else 1
        self.register_buffer("mean", torch.zeros(bins, width))
        self.register_buffer("deviation", torch.ones(bins, width))

    def fit(self, spectrograms: Iterable[torch.Tensor]) -> None:
        """Take mean and deviation of training spectrograms, given in parts [shape=(n, bins, frames) each]."""
        count = 0
        total = squares = torch.zeros(())
        for part in spectrograms:
            x = part.double()
            count += x.numel()
            total = total + x.sum(dim=self._over, keepdim=True)[0]
            squares = squares + x.square().sum(dim=self._over, keepdim=True)[0]
        each = count / total.numel()
        mean = total / each
        deviation = (squares / each - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean.expand_as(self.mean))
        self.deviation.copy_(deviation.clamp(min=1e-6).expand_as(self.deviation))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardise [shape=(n, bins, frames)] and add a channel [shape=(n, 1, bins, frames)]."""
        standardised: torch.Tensor = (x.float() - self.mean) / self.deviation
        return standardised[:, None]


def mel_matrix(rate: int, n_fft: int, n_mels: int, highest_hz: float | None = None) -> torch.Tensor:
    """Slaney mel bands of equal area, up to half the rate or `highest_hz` if that is less, as a matrix [shape=(n_mels, n_fft // 2 + 1)]."""
    starts, counts, weights = mel_filters(rate, n_fft, n_mels, 0.0, min(rate / 2, highest_hz or rate / 2))
    dense = np.zeros((n_mels, n_fft // 2 + 1), np.float32)
    ends = np.cumsum(counts)
    for band, (start, count, end) in enumerate(zip(starts, counts, ends, strict=True)):
        dense[band, start : start + count] = weights[end - count : end]
    return torch.from_numpy(dense)
