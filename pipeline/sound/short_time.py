"""Short-time spectra, one sound at a time in buffers that stay in the cache.

A sound's result never depends on the batch it came in: every transform has the same shape.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

Spectrum = NDArray[np.complex64]


def hann(length: int) -> NDArray[np.float32]:
    """Periodic Hann window, as for spectra."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def frame_count(samples: int, hop_length: int) -> int:
    """Number of centred frames of a sound."""
    return 1 + samples // hop_length


@njit(cache=True, nogil=True)
def _fill_frames(sound: Audio, window: Audio, hop_length: int, out: Audio) -> None:
    """Cut centred, windowed frames; outside the sound is silence."""
    n_fft = len(window)
    for frame in range(out.shape[0]):
        start = frame * hop_length - n_fft // 2
        first = max(0, -start)
        last = min(n_fft, len(sound) - start)
        last = max(last, first)
        framed = out[frame]
        framed[:first] = 0.0
        framed[last:] = 0.0
        part, weights, product = sound[start + first : start + last], window[first:last], framed[first:last]
        for n in range(len(part)):  # slices: no check of every place
            product[n] = part[n] * weights[n]


class ShortTimeTransform:
    """Centred STFT with a periodic Hann window (librosa's `center=True, pad_mode="constant"`), in buffers of its
    own.
    """

    def __init__(self, samples: int, n_fft: int, hop_length: int) -> None:
        self.frames = frame_count(samples, hop_length)
        self._window, self._hop_length = hann(n_fft), hop_length
        self._framed = torch.empty(self.frames, n_fft, dtype=torch.float32)
        self._spectrum = torch.empty(self.frames, n_fft // 2 + 1, dtype=torch.complex64)

    def __call__(self, sound: Audio) -> Spectrum:
        """STFT of one sound [shape=(frames, n_fft // 2 + 1)]; overwritten by the next call."""
        _fill_frames(sound, self._window, self._hop_length, self._framed.numpy())
        torch.fft.rfft(self._framed, out=self._spectrum)
        return cast(Spectrum, self._spectrum.numpy())


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def magnitude(spectrum: Spectrum, out: Audio) -> None:
    """|X| [shape=(frames, bins)]."""
    for frame in range(spectrum.shape[0]):
        for k in range(spectrum.shape[1]):
            value = spectrum[frame, k]
            out[frame, k] = np.sqrt(value.real * value.real + value.imag * value.imag)
