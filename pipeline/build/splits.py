"""Splits from numbers in [0, 1): which rows train, validate and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.seeding import Stage, generator
from timbre_data.pipeline.store.columns import SPLITS
from timbre_data.schemas.recipe import SplitRule


def assign(shares: NDArray[np.float64], rule: SplitRule, given: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Turn numbers in [0, 1) into splits by the rule's shares, except where a split is given by name."""
    splits = np.searchsorted([rule.train, rule.train + rule.validation], shares, side="right").astype(np.uint8)
    for k, name in enumerate(given):
        if name:
            splits[k] = SPLITS.index(name)
    return splits


def row_split(rows: NDArray[np.int64], rule: SplitRule) -> NDArray[np.uint8]:
    """Random split over rows, as the AutoFX paper did it: the same dry note is then on several sides."""
    shares = np.array([generator(rule.seed, int(row), Stage.ROW_SPLIT).random() for row in rows])
    return assign(shares, rule)
