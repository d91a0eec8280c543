"""Rows: some of them are some of every field."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from timbre_data.models.data.rows import load_rows
from timbre_data.pipeline.store.reader import Dataset


def test_taking_rows_takes_every_field(shared: Path) -> None:
    rows = load_rows([Dataset(str(shared / "delay"))], ["autofx163"], "note", 100, audio=True)
    chosen = np.zeros(len(rows.row), bool)
    chosen[3:7] = True
    some = rows.take(chosen)
    for field in fields(rows):
        value = getattr(rows, field.name)
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(some, field.name), value[chosen]), field.name
        else:
            assert getattr(some, field.name) == value, field.name


@pytest.mark.parametrize("needed", [(2,), (0, 1), ()])
def test_front_ends_are_computed_for_the_splits_that_are_needed(shared: Path, needed: tuple[int, ...]) -> None:
    """What is not computed is not a number, which no figure survives."""
    seen = []

    def frontend(sounds: NDArray[Any]) -> NDArray[Any]:
        seen.append(len(sounds))
        return np.asarray(sounds[:, :50], np.float16)

    data = [Dataset(str(shared / "delay"))]
    every = load_rows(data, [], "note", audio=True, frontend=frontend)
    seen.clear()
    some = load_rows(data, [], "note", audio=True, frontend=frontend, needed=needed)
    wanted = np.isin(some.split, needed)
    assert sum(seen) == max(wanted.sum(), 1)
    assert np.array_equal(some.audio[wanted], every.audio[wanted])
    assert np.isnan(some.audio[~wanted]).all()
