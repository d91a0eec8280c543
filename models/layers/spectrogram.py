"""Spectrograms as layers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from timbre_data.pipeline.sound.mel_bands import mel_filters


def centred_stft(audio: torch.Tensor, window: torch.Tensor, hop_length: int) -> torch.Tensor:
    """The complex STFT of sounds [shape=(n, samples)] padded with zeros at both ends, the window as long as the
    transform: [shape=(n, bins, frames)].
    """
    return torch.stft(
        audio, len(window), hop_length, window=window, center=True, pad_mode="constant", return_complex=True
    )


BANDS_AT_ONCE = 16
"""Neighbouring mel bands that are summed together: they cover few bins, so hardly anything is multiplied by 0."""


class MelBands(nn.Module):
    """Power spectra [shape=(..., bins, frames)] to the energy in mel bands [shape=(..., n_mels, frames)], by the
    weights of `mel_matrix`: each few neighbouring bands from the bins that they cover alone.
    """

    def __init__(self, rate: int, n_fft: int, n_mels: int, highest_hz: float | None = None) -> None:
        super().__init__()
        self._covered: list[tuple[int, int]] = []
        for number, bands in enumerate(mel_matrix(rate, n_fft, n_mels, highest_hz).split(BANDS_AT_ONCE)):
            bins = bands.any(dim=0).nonzero().flatten().tolist() or [0]
            self._covered.append((bins[0], bins[-1] + 1))
            self.register_buffer(f"bands{number}", bands[:, bins[0] : bins[-1] + 1].contiguous(), persistent=False)

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Map power spectra to bands."""
        parts = [
            torch.matmul(self.get_buffer(f"bands{number}"), power[..., low:high, :])
            for number, (low, high) in enumerate(self._covered)
        ]
        return torch.cat(parts, dim=-2)


class Spectrogram(nn.Module):
    """Sounds [shape=(n, samples)] to spectrograms [shape=(n, bins, frames)], peak-normalized and padded with zeros
    first.

    "power" is |X|^2 of a centred Hann STFT; "log_power" and "log_mel" are in dB (floor -100 dB), brought near [-1, 1].
    """

    window: torch.Tensor

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
            self.bands = MelBands(rate, n_fft, n_mels)

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
                power = self.bands(power)
            return 10 * torch.log10(power + 1e-10) / 50


class Frontend(nn.Module):
    """Sounds [shape=(n, samples)] to spectrograms of so many bins and frames [shape=(n, *shape)]."""

    shape: tuple[int, int]


class MelFrontend(Frontend):
    """Sounds [shape=(n, samples)] to mel spectrograms [shape=(n, n_mels, frames)], padded or cut to `frames`.

    "db": 10 log10 of power, 80 dB below its top at most; "log": log10(10,000 x + 1); "unit": dB brought to [0, 1] by
    its own extremes. A `window` shorter than the transform stands in its middle, between zeros.
    """

    window: torch.Tensor

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
        window: int | None = None,
    ) -> None:
        super().__init__()
        self._hop_length, self._frames, self._scale = hop_length, frames, scale
        self.shape = (n_mels, frames)
        zeros = n_fft - (window or n_fft)
        padded = F.pad(torch.hann_window(n_fft - zeros), (zeros // 2, zeros - zeros // 2))
        self.register_buffer("window", padded, persistent=False)
        self.bands = MelBands(rate, n_fft, n_mels, highest_hz)

    def whole(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds [shape=(n, samples)] to all their frames, a hop apart [shape=(n, n_mels, samples // hop_length +
        1)]; in double precision for a front end made so.
        """
        with torch.autocast(audio.device.type, enabled=False):
            return self._scaled(self._mel(audio))

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        with torch.autocast(audio.device.type, enabled=False):
            mel = self._mel(audio)
            mel = F.pad(mel, (0, max(self._frames - mel.shape[2], 0)))[:, :, : self._frames]
            return self._scaled(mel)

    def _mel(self, audio: torch.Tensor) -> torch.Tensor:
        spectrum = centred_stft(audio.to(self.window.dtype), self.window, self._hop_length)
        mel: torch.Tensor = self.bands(spectrum.real.square() + spectrum.imag.square())
        return mel

    def _scaled(self, mel: torch.Tensor) -> torch.Tensor:
        if self._scale == "log":
            return torch.log10(10_000 * mel + 1)
        decibels = decibels_80(mel)
        return decibels if self._scale == "db" else in_unit_range(decibels)


def decibels_80(power: torch.Tensor) -> torch.Tensor:
    """Power spectra [shape=(n, bins, frames)] in dB, 80 dB below the top of each at most."""
    decibels = 10 * torch.log10(power + 1e-10)
    return torch.maximum(decibels, decibels.amax(dim=(1, 2), keepdim=True) - 80)


def in_unit_range(x: torch.Tensor) -> torch.Tensor:
    """Spectrograms [shape=(n, bins, frames)] brought to [0, 1] by the extremes of each."""
    low, top = x.amin(dim=(1, 2), keepdim=True), x.amax(dim=(1, 2), keepdim=True)
    return (x - low) / (top - low).clamp(min=1e-6)


def mel_matrix(rate: int, n_fft: int, n_mels: int, highest_hz: float | None = None) -> torch.Tensor:
    """Slaney mel bands of equal area, up to half the rate or `highest_hz` if that is less, as a matrix [shape=(n_mels,
    n_fft // 2 + 1)].
    """
    starts, counts, weights = mel_filters(rate, n_fft, n_mels, 0.0, min(rate / 2, highest_hz or rate / 2))
    dense = np.zeros((n_mels, n_fft // 2 + 1), np.float32)
    ends = np.cumsum(counts)
    for band, (start, count, end) in enumerate(zip(starts, counts, ends, strict=True)):
        dense[band, start : start + count] = weights[end - count : end]
    return torch.from_numpy(dense)
