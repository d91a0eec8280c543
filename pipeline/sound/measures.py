"""What can be measured of a sound without an ear: its level, flat tops, silence before and after, offset."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

SILENCE = 1e-3
"""Share of a sound's peak (-60 dB) below which it counts as silent."""
TOP = 0.98
"""Share of a sound's peak above which a run of samples that do not move is a flat top."""
STILL = 2e-4
"""Samples that differ by less, relative to the peak, do not move."""


@njit(cache=True, nogil=True)
def measure(sounds: Audio, out: NDArray[np.float64]) -> None:
    """Measure sounds [shape=(n, channels, samples)], each row of `out` [shape=(n, 5)]: root mean square; samples of the
    longest flat top; samples of silence before, and after it; mean. Of several channels, the largest counts; silence is
    that of all.
    """
    for row in range(len(sounds)):
        channels, samples = sounds.shape[1:]
        peak = np.float32(0.0)
        for channel in range(channels):
            for value in sounds[row, channel]:
                peak = max(peak, abs(value))
        energy = offset = 0.0
        longest, first, last = 0, samples, -1
        for channel in range(channels):
            sound = sounds[row, channel]
            total = squares = 0.0
            run = 0
            for n in range(samples):
                value = sound[n]
                total += value
                squares += np.float64(value) * np.float64(value)
                if abs(value) > SILENCE * peak:
                    first = min(first, n)
                    last = max(last, n)
                still = n > 0 and abs(value) >= TOP * peak and abs(value - sound[n - 1]) <= STILL * peak
                run = run + 1 if still else 0
                longest = max(longest, run)
            energy = max(energy, squares / samples)
            offset = total / samples if abs(total / samples) > abs(offset) else offset
        out[row, 0] = np.sqrt(energy)
        out[row, 1] = longest + 1 if longest else 0
        out[row, 2] = first
        out[row, 3] = samples - 1 - last
        out[row, 4] = offset
