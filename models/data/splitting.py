"""Which split each row of a run's datasets is in: as stored, at random, or with whole groups held out for testing."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.splits import row_split
from timbre_data.pipeline.store.columns import DRY_GROUP, DRY_INDEX, SPLITS
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")
SHOWN = 12
"""Groups named where a pattern fits none."""


def split_of(
    data: Dataset, number: int, rows: NDArray[np.int64], rule: str, hold_out: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """The split of rows of the dataset that is `number` of a run [shape=(n,)]: 0 train, 1 validation, 2 test.

    By `rule` "note" as stored, or "row" at random; with `hold_out`, rows whose group fits one of the patterns are the
    test split, and what was to be tested is trained on.
    """
    split = data.split()[rows] if rule == "note" else row_split(rows + number * 2**32, data.recipe.split)
    if not hold_out or data.recipe.chain.synth:
        return split
    held = np.array([any(fnmatchcase(name, one) for one in hold_out) for name in _groups(data)], bool)
    chosen = held[data.read(DRY_INDEX)[rows].astype(np.int64)]
    return np.where(chosen, TEST, np.where(split == TEST, TRAIN, split)).astype(np.uint8)


def check_held_out(datasets: Sequence[Dataset], hold_out: Sequence[str]) -> None:
    """Raise `UsageError` for a pattern that no group of any dataset fits."""
    groups = sorted({name for data in datasets for name in _groups(data)}) if hold_out else []
    for pattern in hold_out:
        if not any(fnmatchcase(name, pattern) for name in groups):
            named = ", ".join(groups[:SHOWN]) + (", ..." if len(groups) > SHOWN else "")
            raise UsageError(f"hold_out: nothing is called {pattern}; there are {named or 'no groups'}.")


def _groups(data: Dataset) -> list[str]:
    """What splits keep together, of each dry sound; nothing where a synth plays."""
    return [] if data.recipe.chain.synth else [str(name) for name in data.read(DRY_GROUP).tolist()]
