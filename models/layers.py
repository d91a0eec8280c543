"""Layers that several networks share."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from timbre_data.pipeline.features._mel import mel_filters


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
        self._kind, self._samples, self._n_fft, self._hop_length = kind, samples, n_fft, hop_length
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
            spectrum = torch.stft(
                audio,
                self._n_fft,
                self._hop_length,
                window=self.window,
                center=True,
                pad_mode="constant",
                return_complex=True,
            )
            power = spectrum.real.square() + spectrum.imag.square()
            if self._kind == "power":
                return power
            if self._kind == "log_mel":
                power = torch.matmul(self.bands, power)
            return 10 * torch.log10(power + 1e-10) / 50


def mel_matrix(rate: int, n_fft: int, n_mels: int) -> torch.Tensor:
    """Slaney mel bands of equal area as a matrix [shape=(n_mels, n_fft // 2 + 1)]."""
    starts, counts, weights = mel_filters(rate, n_fft, n_mels, 0.0, rate / 2)
    dense = np.zeros((n_mels, n_fft // 2 + 1), np.float32)
    ends = np.cumsum(counts)
    for band, (start, count, end) in enumerate(zip(starts, counts, ends, strict=True)):
        dense[band, start : start + count] = weights[end - count : end]
    return torch.from_numpy(dense)
