"""The constant-Q transform as a layer: bins an equal interval apart, each as sharp as the others (Brown 1991)."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from timbre_data.models.layers.spectrogram import Frontend, decibels_80, in_unit_range

LOWEST_HZ = 440 * 2 ** (-45 / 12)
"""C1."""
OCTAVES, BINS_PER_OCTAVE = 8, 16
BINS = OCTAVES * BINS_PER_OCTAVE
Q = 1 / (2 ** (1 / BINS_PER_OCTAVE) - 1)
"""Periods of a bin's frequency in its window."""


class ConstantQ(Frontend):
    """Sounds [shape=(n, samples)] to constant-Q spectrograms in dB brought to [0, 1] by the extremes of each [shape=(n,
    128, frames)], padded or cut to `frames`. Bins that reach over half the rate stay empty.
    """

    def __init__(self, *, rate: int, hop_length: int, frames: int) -> None:
        super().__init__()
        self._hop_length, self._frames = hop_length, frames
        self.shape = (BINS, frames)
        for octave in range(OCTAVES):
            self.register_buffer(f"kernels{octave}", octave_kernels(rate, octave), persistent=False)

    def power(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds, zeros before and after them, to the power of each bin every hop: a quarter of the squared
        amplitude of a sine at its frequency [shape=(n, 128, samples // hop_length + 1)].
        """
        bins = []
        for octave in range(OCTAVES):
            kernels = self.get_buffer(f"kernels{octave}")
            half = len(kernels) // 2
            frames = F.pad(audio.to(kernels.dtype), (half, half)).unfold(1, len(kernels), self._hop_length)
            real, imaginary = torch.matmul(frames, kernels).chunk(2, dim=2)
            bins.append(real.square() + imaginary.square())
        return torch.cat(bins, dim=2).transpose(1, 2)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map sounds to spectrograms, always in float32."""
        with torch.autocast(audio.device.type, enabled=False):
            power = self.power(audio)
            power = F.pad(power, (0, max(self._frames - power.shape[2], 0)))[:, :, : self._frames]
            return in_unit_range(decibels_80(power))


def octave_kernels(rate: int, octave: int) -> torch.Tensor:
    """Cosines and then sines of the bins of one octave from C1 under Hann windows `Q` periods long, in the middle of
    columns as long as the longest of them [shape=(samples, 2 x 16)]; zeros for a bin that reaches over half the rate.
    """
    hertz = LOWEST_HZ * 2 ** (octave + np.arange(BINS_PER_OCTAVE) / BINS_PER_OCTAVE)
    lengths = Q * rate / hertz
    half = int(lengths[0] / 2) + 1
    n = np.arange(-half, half)[:, None]
    windows = np.where(np.abs(n) < lengths / 2, 0.5 + 0.5 * np.cos(2 * np.pi * n / lengths), 0)
    waves = windows / windows.sum(axis=0) * np.exp(2j * np.pi * hertz / rate * n) * (hertz * (1 + 1 / Q) <= rate / 2)
    return torch.from_numpy(np.concatenate([waves.real, waves.imag], axis=1).astype(np.float32))
