"""Functionals of a series."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FUNCTIONALS = ("min", "max", "mean", "std", "skewness", "kurtosis")


@njit(cache=True, nogil=True)
def functionals(series: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Min, max, mean, standard deviation, skewness and excess kurtosis (0 for a constant series); all 0 for an empty
    one [shape=(6,)].
    """
    count = len(series)
    if count == 0:
        out[:] = 0.0
        return
    low = high = series[0]
    total = 0.0
    for value in series:
        low, high = min(low, value), max(high, value)
        total += value
    mean = total / count
    second = third = fourth = 0.0
    for value in series:
        d = value - mean
        second += d * d
        third += d * d * d
        fourth += d * d * d * d
    second, third, fourth = second / count, third / count, fourth / count
    out[0], out[1], out[2], out[3] = low, high, mean, np.sqrt(second)
    flat = second <= (1e-12 * max(abs(low), abs(high))) ** 2
    out[4] = 0.0 if flat else third / second**1.5
    out[5] = 0.0 if flat else fourth / (second * second) - 3.0
