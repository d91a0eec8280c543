"""Fundamental frequency of every frame by YIN (de Cheveigne and Kawahara 2002), its difference function by FFT."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from timbre_data.pipeline.sound.note_pitch import SILENCE, lags, pick
from timbre_data.pipeline.sound.short_time import frame_count
from timbre_data.schemas.arrays import Audio


def fast_length(least: int) -> int:
    """The smallest length of an FFT that has no factors but 2, 3 and 5 (`scipy.fft.next_fast_len` of real signals)."""
    length = least
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


@njit(cache=True, nogil=True)
def _frames(sound: Audio, hop_length: int, window: int, reach: int, whole: Audio, half: Audio) -> None:
    """Windows of `window` samples, alone and with the `reach` samples after them; outside the sound is silence."""
    for frame in range(whole.shape[0]):
        start = frame * hop_length - window
        for n in range(whole.shape[1]):
            position = start + n
            inside = 0 <= position < len(sound) and n < window + reach
            value = sound[position] if inside else np.float32(0.0)
            whole[frame, n] = value
            half[frame, n] = value if n < window else np.float32(0.0)


@njit(cache=True, nogil=True)
def _multiply_conjugate(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> None:
    """Multiply a by the conjugate of b, in place."""
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            a[i, k] = a[i, k] * b[i, k].conjugate()


@njit(cache=True, nogil=True)
def _pick_all(
    whole: Audio,
    correlation: Audio,
    rate: float,
    window: int,
    low: int,
    high: int,
    out: NDArray[np.float64],
    depth: NDArray[np.float64],
) -> None:
    """Frequency of each frame (Hz) and how periodic it is (depth of the dip; small is good)."""
    difference = np.empty(high + 2)
    for frame in range(whole.shape[0]):
        energy = 0.0
        for n in range(window):
            energy += whole[frame, n] * whole[frame, n]
        if energy < SILENCE:
            out[frame], depth[frame] = np.nan, 1.0
            continue
        first, shifted = energy, energy
        for lag in range(1, high + 2):
            shifted += whole[frame, lag + window - 1] ** 2 - whole[frame, lag - 1] ** 2
            difference[lag] = max(first + shifted - 2.0 * correlation[frame, lag], 0.0)
        out[frame], depth[frame] = pick(difference, rate, low, high)


class Yin:
    """YIN between 60 and 1400 Hz, over windows of 1024 samples, or longer ones where a period at 60 Hz has more."""

    def __init__(self, samples: int, rate: int, hop_length: int) -> None:
        frames = frame_count(samples, hop_length)
        self._hop_length, self._rate = hop_length, rate
        self._low, self._high, self._window = lags(rate)
        self._reach = self._high + 2
        self._length = fast_length(self._window + self._reach)
        self._whole, self._half = torch.empty(frames, self._length), torch.empty(frames, self._length)
        self._a = torch.empty(frames, self._length // 2 + 1, dtype=torch.complex64)
        self._b = torch.empty_like(self._a)
        self._correlation = torch.empty(frames, self._length)
        self.hz, self.depth = np.empty(frames), np.empty(frames)

    def __call__(self, sound: Audio) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Frequency (Hz, NaN in silence) and depth of the dip of every frame; overwritten by the next call."""
        _frames(sound, self._hop_length, self._window, self._reach, self._whole.numpy(), self._half.numpy())
        torch.fft.rfft(self._whole, out=self._a)
        torch.fft.rfft(self._half, out=self._b)
        _multiply_conjugate(self._a.numpy(), self._b.numpy())
        torch.fft.irfft(self._a, n=self._length, out=self._correlation)
        _pick_all(
            self._whole.numpy(),
            self._correlation.numpy(),
            float(self._rate),
            self._window,
            self._low,
            self._high,
            self.hz,
            self.depth,
        )
        return self.hz, self.depth
