"""Onsets by SuperFlux (Bock and Widmer 2013): spectral flux against a maximum-filtered past, so that vibrato is no
onset.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

BANDS_PER_OCTAVE = 24
FMIN_HZ, FMAX_HZ = 30.0, 17_000.0
LAG = 2
"""Frames between the present and the past it is compared with: at 2048 / 256 frames overlap too much for a lag of
one.
"""
THRESHOLD = 2.5
"""Least height of an onset above the mean of its surroundings."""
BEFORE_MAX_SECONDS, AFTER_MAX_SECONDS = 0.03, 0.03
BEFORE_MEAN_SECONDS, AFTER_MEAN_SECONDS = 0.10, 0.07
WAIT_SECONDS = 0.03


@lru_cache(maxsize=16)
def log_filters(rate: int, n_fft: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Triangular bands on the semitone-like grid 440 * 2^(k/24): first bin and bin count of each, and weights end to
    end.

    Neighbouring centres that fall on the same bin become one band, as low notes do.
    """
    steps = np.arange(
        np.floor(BANDS_PER_OCTAVE * np.log2(FMIN_HZ / 440)), np.ceil(BANDS_PER_OCTAVE * np.log2(FMAX_HZ / 440)) + 1
    )
    centres = 440.0 * 2 ** (steps / BANDS_PER_OCTAVE)
    centres = centres[(centres >= FMIN_HZ) & (centres <= min(FMAX_HZ, rate / 2))]
    bins = np.unique(np.round(centres * n_fft / rate).astype(np.int64))
    starts, counts, parts = [], [], []
    for low, middle, high in zip(bins[:-2], bins[1:-1], bins[2:], strict=True):
        span = np.arange(low + 1, high)
        starts.append(low + 1)
        counts.append(len(span))
        parts.append(np.where(span <= middle, (span - low) / (middle - low), (high - span) / (high - middle)))
    return np.array(starts), np.array(counts), np.concatenate(parts).astype(np.float32)


def superflux(
    magnitudes: Audio, starts: NDArray[np.int64], counts: NDArray[np.int64], weights: Audio
) -> NDArray[np.float64]:
    """Onset strength of each frame [shape=(frames,)]; before the first frame is silence."""
    bands = np.empty((len(magnitudes), len(starts)))
    _banded(magnitudes, starts, counts, weights, bands)
    np.log10(bands, out=bands)  # NumPy's takes many at a time
    return _flux(bands)


@njit(cache=True, nogil=True)
def _banded(
    magnitudes: Audio, starts: NDArray[np.int64], counts: NDArray[np.int64], weights: Audio, out: NDArray[np.float64]
) -> None:
    """1 + the magnitude of each band [shape=(frames, bands)]."""
    frames, bands = out.shape
    for t in range(frames):
        offset = 0
        for b in range(bands):
            total = 0.0
            for k in range(counts[b]):
                total += weights[offset + k] * magnitudes[t, starts[b] + k]
            offset += counts[b]
            out[t, b] = 1.0 + total


@njit(cache=True, nogil=True)
def _flux(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    frames, bands = logs.shape
    strength = np.zeros(frames)
    for t in range(frames):
        for b in range(bands):
            past = 0.0
            if t >= LAG:
                for n in range(max(0, b - 1), min(bands, b + 2)):
                    past = max(past, logs[t - LAG, n])
            strength[t] += max(0.0, logs[t, b] - past)
    return strength


@njit(cache=True, nogil=True)
def first_onsets(
    strength: NDArray[np.float64], frames_per_second: float, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times (s) and strengths of the first `count` onsets; 0 where there are fewer.

    An onset is the largest value of its surroundings and stands `THRESHOLD` above their mean.
    """
    frames = len(strength)
    before_max, after_max = (
        round(BEFORE_MAX_SECONDS * frames_per_second),
        round(AFTER_MAX_SECONDS * frames_per_second),
    )
    before_mean, after_mean = (
        round(BEFORE_MEAN_SECONDS * frames_per_second),
        round(AFTER_MEAN_SECONDS * frames_per_second),
    )
    wait = round(WAIT_SECONDS * frames_per_second)
    times, heights = np.zeros(count), np.zeros(count)
    onset_count, last = 0, -frames
    for t in range(frames):
        around = strength[max(0, t - before_max) : min(frames, t + after_max + 1)]
        wider = strength[max(0, t - before_mean) : min(frames, t + after_mean + 1)]
        if strength[t] >= around.max() and strength[t] >= wider.mean() + THRESHOLD and t - last > wait:
            times[onset_count], heights[onset_count] = t / frames_per_second, strength[t]
            last = t
            onset_count += 1
            if onset_count == count:
                break
    return times, heights
