"""How sure a figure is: bootstrap intervals over groups of rows (Efron & Tibshirani 1993, the percentile interval).

Rows of one dry note err alike, so whole notes are drawn, not rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95
Interval = tuple[float, float]


def sums_by(groups: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    """The sum of values [shape=(n, ...)] over the rows of each group [shape=(g, ...)]."""
    names, index = np.unique(groups, return_inverse=True)
    out = np.zeros((len(names), *values.shape[1:]))
    np.add.at(out, index, values)
    return out


def ratios(numerators: NDArray[np.float64], denominators: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Sum of numerators over sum of denominators [shape=(g,) or (g, k)], in 2,000 draws of g groups with replacement
    [shape=(draws,) or (draws, k)].
    """
    count = len(numerators)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)
    return np.asarray(times @ numerators / np.maximum(times @ denominators, 1e-300))


def interval(draws: NDArray[np.float64]) -> Interval:
    """The middle 95 % of some draws [shape=(draws,)]."""
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(draws, (tail, 100 - tail))
    return float(low), float(high)


def of_mean(values: NDArray[Any], groups: NDArray[Any], seed: int = 0) -> Interval:
    """The interval of the mean of values [shape=(n,)] whose rows belong to groups [shape=(n,)]."""
    ones = np.ones(len(values))
    return interval(ratios(sums_by(groups, np.asarray(values, np.float64)), sums_by(groups, ones), seed))


def of_median(values: NDArray[Any] | Sequence[float], seed: int = 0) -> Interval:
    """The interval of the median of independent values [shape=(n,)]."""
    known = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    return interval(np.median(known[rng.integers(len(known), size=(DRAWS, len(known)))], axis=1))


def text(pair: Interval) -> str:
    """An interval for people."""
    return f"{pair[0]:.4g} to {pair[1]:.4g}"
