"""One pitch for a note by YIN (de Cheveigne and Kawahara 2002), its differences summed as they are defined: the same
numbers on every machine, and no library to load.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio

WINDOW = 1024
"""Samples, at least, that are compared with their shifted selves; a frame is centred where window and shifted window
meet.
"""
NOTE_HOP = 1024
"""Hop where one pitch is wanted for a whole note."""
FMIN_HZ = 60.0
FMAX_HZ = 1400.0
THRESHOLD = 0.1
"""Depth of the normalized difference (YIN's aperiodicity) below which the first dip is taken."""
SILENCE = 1e-9
"""Energy below which a frame has no pitch."""
TOGETHER = 8
"""Terms of the sums that are added to each other first, which a processor does for several lags at once."""


def lags(rate: int) -> tuple[int, int, int]:
    """The shortest and the longest period in samples at a rate, and the window that holds the longest one."""
    longest = int(rate / FMIN_HZ) + 1
    return max(2, int(rate / FMAX_HZ)), longest, max(WINDOW, longest + 2)


@njit(cache=True, nogil=True)
def pick(difference: NDArray[np.float64], rate: float, low: int, high: int) -> tuple[float, float]:
    """Frequency in Hz and depth of the first dip of a difference function [shape=(high + 2,)] that is deep enough, else
    of its deepest; small is good. The difference is normalized in place.
    """
    running = 0.0
    difference[0] = 1.0
    for lag in range(1, high + 2):
        running += difference[lag]
        difference[lag] = difference[lag] * lag / running if running > 0 else 1.0
    best = -1
    for lag in range(low, high + 1):
        dip = difference[lag] < difference[lag - 1] and difference[lag] <= difference[lag + 1]
        if dip and difference[lag] < THRESHOLD:
            best = lag
            break
    if best < 0:
        best = low
        for lag in range(low, high + 1):
            if difference[lag] < difference[best]:
                best = lag
    left, middle, right = difference[best - 1], difference[best], difference[best + 1]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return rate / (best + min(max(shift, -1.0), 1.0)), middle


@njit(cache=True, nogil=True)
def _differences(frame: Audio, window: int, sums: Audio) -> None:
    """Squared differences between the window and itself, `lag` samples later, summed for each lag."""
    count = len(sums)
    sums[:] = 0.0
    whole = window // TOGETHER * TOGETHER
    for n in range(0, whole, TOGETHER):
        x0, x1, x2, x3, x4, x5, x6, x7 = frame[n], frame[n + 1], frame[n + 2], frame[n + 3], frame[n + 4], frame[n + 5], frame[n + 6], frame[n + 7]  # fmt: skip
        later = frame[n : n + count + TOGETHER - 1]
        for lag in range(count):
            a, b, c, d = x0 - later[lag], x1 - later[lag + 1], x2 - later[lag + 2], x3 - later[lag + 3]
            e, f, g, h = x4 - later[lag + 4], x5 - later[lag + 5], x6 - later[lag + 6], x7 - later[lag + 7]
            sums[lag] += ((a * a + b * b) + (c * c + d * d)) + ((e * e + f * f) + (g * g + h * h))
    for n in range(whole, window):
        later = frame[n : n + count]
        for lag in range(count):
            step = frame[n] - later[lag]
            sums[lag] += step * step


@njit(cache=True, nogil=True)
def _frequencies(
    sound: Audio, rate: float, low: int, high: int, window: int, hz: NDArray[np.float64], depth: NDArray[np.float64]
) -> None:
    frame = np.zeros(window + high + 2 + TOGETHER, np.float32)
    sums = np.empty(high + 2, np.float32)
    difference = np.empty(high + 2)
    for number in range(len(hz)):
        start = number * NOTE_HOP - window
        energy = 0.0
        for n in range(window + high + 2):
            place = start + n
            frame[n] = sound[place] if 0 <= place < len(sound) else np.float32(0.0)
            if n < window:
                energy += np.float64(frame[n]) * np.float64(frame[n])
        if energy < SILENCE:
            hz[number], depth[number] = np.nan, 1.0
            continue
        _differences(frame, window, sums)
        difference[:] = sums
        hz[number], depth[number] = pick(difference, rate, low, high)


@njit(cache=True, nogil=True)
def typical(hz: NDArray[np.float64], depth: NDArray[np.float64]) -> float:
    """One pitch for a note: the median over its more periodic half; NaN for silence."""
    voiced = np.isfinite(hz)
    if not voiced.any():
        return np.nan
    heard, how_clear = hz[voiced], depth[voiced]
    return np.median(heard[how_clear <= np.median(how_clear)])


def note_f0(sound: Audio, rate: int) -> float:
    """Measure the pitch of a note [shape=(samples,)] in Hz; NaN for silence."""
    frames = 1 + len(sound) // NOTE_HOP
    hz, depth = np.empty(frames), np.empty(frames)
    _frequencies(np.ascontiguousarray(sound, np.float32), float(rate), *lags(rate), hz, depth)
    return float(typical(hz, depth))
