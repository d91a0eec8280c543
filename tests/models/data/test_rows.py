"""Rows: some of them are some of every field."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

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
