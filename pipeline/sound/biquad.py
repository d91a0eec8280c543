"""Second-order filters of the Audio EQ Cookbook (Bristow-Johnson), and two of them in one compiled loop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from timbre_data.schemas.arrays import Audio


def shelves(rate: int, values: Mapping[str, NDArray[np.float64]], side: int) -> NDArray[np.float64]:
    """b0 b1 b2 a1 a2 of a shelf for each row (Bristow-Johnson, Audio EQ Cookbook) [shape=(n, 5)]; `side` is 1 for the
    low shelf, -1 for the high one.
    """
    name = "low_shelf" if side == 1 else "high_shelf"
    a = np.array([10 ** (gain_db / 40) for gain_db in values[f"{name}_gain_db"].tolist()])
    w = 2 * np.pi * values[f"{name}_cutoff_hz"] / rate
    c, s = side * np.cos(w), np.sin(w) * np.sqrt(a) / values[f"{name}_q"]
    plus, minus = a + 1 + (a - 1) * c, a + 1 - (a - 1) * c
    b = (a * (minus + s), side * 2 * a * (a - 1 - (a + 1) * c), a * (minus - s))
    return np.ascontiguousarray((np.array([*b, side * -2 * (a - 1 + (a + 1) * c), plus - s]) / (plus + s)).T)


@njit(cache=True, nogil=True)
def filter_twice(sounds: Audio, first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    """Two biquads in a row [shape=(n, 5) each] on each of the sounds [shape=(n, channels, samples)], in place:
    transposed direct form II, state in float64.
    """
    for row in range(len(sounds)):
        _filter_twice(sounds[row], first[row], second[row])


@njit(cache=True, nogil=True)
def _filter_twice(sound: Audio, first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    b0, b1, b2, a1, a2 = first
    d0, d1, d2, c1, c2 = second
    for channel in range(len(sound)):
        s1 = s2 = t1 = t2 = 0.0
        for n in range(sound.shape[1]):
            x = np.float64(sound[channel, n])
            y = b0 * x + s1
            s1 = b1 * x - a1 * y + s2
            s2 = b2 * x - a2 * y
            z = d0 * y + t1
            t1 = d1 * y - c1 * z + t2
            t2 = d2 * y - c2 * z
            sound[channel, n] = z


def cookbook(kind: str, hertz: float, gain_db: float, q: float, rate: int) -> NDArray[np.float64]:
    """One section of the Audio EQ Cookbook, b then a, with a0 = 1."""
    amplitude, omega = 10 ** (gain_db / 40), 2 * np.pi * hertz / rate
    cos, alpha = np.cos(omega), np.sin(omega) / (2 * q)
    if kind == "peaking":
        b = [1 + alpha * amplitude, -2 * cos, 1 - alpha * amplitude]
        a = [1 + alpha / amplitude, -2 * cos, 1 - alpha / amplitude]
    elif kind == "lowpass":
        b, a = [(1 - cos) / 2, 1 - cos, (1 - cos) / 2], [1 + alpha, -2 * cos, 1 - alpha]
    elif kind == "highpass":
        b, a = [(1 + cos) / 2, -1 - cos, (1 + cos) / 2], [1 + alpha, -2 * cos, 1 - alpha]
    else:
        side = 1 if kind == "low_shelf" else -1
        more, less, slope = amplitude + 1, amplitude - 1, 2 * np.sqrt(amplitude) * alpha
        b = [
            amplitude * (more - side * less * cos + slope),
            side * 2 * amplitude * (less - side * more * cos),
            amplitude * (more - side * less * cos - slope),
        ]
        a = [more + side * less * cos + slope, -side * 2 * (less + side * more * cos), more + side * less * cos - slope]
    return np.array([*b, *a]) / a[0]
