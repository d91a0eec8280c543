"""The columns of a dataset's page: what is known of every row, and what is measured of its sound."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.threads import available_cores
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.sound.measures import measure
from timbre_data.pipeline.store.columns import (
    ATTEMPT,
    AUDIO,
    AUDIO_CHUNK,
    CLIP,
    DRY_IDENTITY,
    DRY_INDEX,
    DRY_NOTE,
    DRY_VELOCITY,
    EFFECT_DB,
    FAILED,
    FILE,
    GAIN,
    MASK,
    ORDER,
    PARAMS,
    SPLITS,
    TAGS,
)
from timbre_data.pipeline.store.layout import effects_text
from timbre_data.pipeline.store.reader import Dataset

MEASURED_ROWS, MEASURED_REMOTE = 100_000, 4096
"""Rows at most whose sounds are measured, of a dataset here and of one in object storage; of more, as many that are
evenly spaced.
"""
FLOOR_DB = -120.0


@dataclass(frozen=True)
class Column:
    """One column: numbers [shape=(n,)], NaN where there is none; or codes of `texts`."""

    key: str
    label: str
    kind: Literal["number", "category", "text"]
    values: NDArray[Any]
    unit: str = ""
    texts: tuple[str, ...] = ()
    group: str = "row"

    def shown(self, row: int) -> float | str:
        """The entry of one row: a number, or a text."""
        value = self.values[row]
        return float(value) if self.kind == "number" else self.texts[int(value)]

    def described(self, number: int) -> dict[str, str]:
        """What the page is told of the column, with the script of its values."""
        return {
            "key": self.key,
            "label": self.label,
            "kind": self.kind,
            "unit": self.unit,
            "group": self.group,
            "file": f"data/column-{number}.js",
        }


def row_columns(data: Dataset, measured: NDArray[np.int64]) -> list[Column]:
    """Every column of a dataset's rows; `measured` are the rows whose sounds are measured."""
    return [*_labels(data), *_rows(data), *_sounds(data, measured)]


def rows_to_measure(data: Dataset) -> NDArray[np.int64]:
    """The rows whose sounds are measured: all of them, or evenly spaced chunks of very many."""
    rows, most = data.usable(), MEASURED_REMOTE if data.location.remote else MEASURED_ROWS
    if len(rows) <= most:
        return rows
    chunks = np.unique(rows // AUDIO_CHUNK)
    kept = chunks[np.linspace(0, len(chunks) - 1, most // AUDIO_CHUNK).astype(int)]
    return rows[np.isin(rows // AUDIO_CHUNK, kept)]


def _labels(data: Dataset) -> list[Column]:
    labels, mask = data.read(PARAMS), data.read(MASK)
    values = data.space.to_values(labels).astype(np.float32)
    values[~mask] = np.nan
    there = data.present()
    values[~there] = np.nan
    return [
        Column(parameter.name, parameter.name, "number", values[:, k], parameter.unit_text, group="label")
        for k, parameter in enumerate(data.space)
    ]


def _rows(data: Dataset) -> list[Column]:
    columns = [Column("split", "split", "category", data.split(), texts=SPLITS)]
    if data.has(ORDER) and data.array(ORDER).shape[1] > 1:
        steps = data.names(ORDER, "steps")
        orders, codes = np.unique(data.read(ORDER), axis=0, return_inverse=True)
        texts = tuple(effects_text(order.tolist(), steps) or "none" for order in orders)
        columns.append(Column("effects", "effects", "category", codes.reshape(-1).astype(np.int32), texts=texts))
    if data.has(TAGS):
        names = np.array(data.names(TAGS))
        sets, codes = np.unique(data.read(TAGS), axis=0, return_inverse=True)
        texts = tuple(", ".join(names[one]) or "none" for one in sets)
        columns.append(Column("tags", "tags", "text", codes.reshape(-1).astype(np.int32), texts=texts))
    if data.has(DRY_INDEX):
        columns += _dry(data)
    for path, label in ((CLIP, "recording"), (FILE, "file")):
        if data.has(path):
            columns.append(_text(label, data.read(path)))
    if data.has(ATTEMPT):
        columns.append(Column("redrawn", "times drawn again", "number", data.read(ATTEMPT).astype(np.int32)))
    columns.append(Column("failed", "failed", "category", data.read(FAILED).astype(np.uint8), texts=("no", "yes")))
    return columns


def _dry(data: Dataset) -> list[Column]:
    index = data.read(DRY_INDEX).astype(np.int64)
    columns = [_text("dry sound", data.read(DRY_IDENTITY), index)]
    for path, label in ((DRY_NOTE, "note"), (DRY_VELOCITY, "velocity")):
        values = data.read(path).astype(np.float32)[index]
        if np.isfinite(values).any():
            columns.append(Column(label, f"MIDI {label}", "number", values))
    return columns


def _text(label: str, texts: NDArray[Any], index: NDArray[np.int64] | None = None) -> Column:
    names, codes = np.unique(np.array([str(text) for text in texts.tolist()], object), return_inverse=True)
    codes = codes.reshape(-1).astype(np.int32)
    return Column(label, label, "text", codes if index is None else codes[index], texts=tuple(names.tolist()))


def _sounds(data: Dataset, measured: NDArray[np.int64]) -> list[Column]:
    columns = []
    if data.has(EFFECT_DB) and np.isfinite(data.read(EFFECT_DB)).any():
        columns.append(
            Column("effect_db", "change by the effects", "number", data.read(EFFECT_DB), "dB", group="sound")
        )
    numbers = np.full((data.n, 5), np.nan)
    numbers[measured] = measured_sounds(data, measured)
    gain_db = 20 * np.log10(np.maximum(data.read(GAIN).astype(np.float64), 1e-9))
    rate = data.recipe.audio.rate
    level = 20 * np.log10(np.maximum(numbers[:, 0], 1e-9)) - gain_db
    made = (
        ("level_db", "level (RMS, before storing)", np.maximum(level, FLOOR_DB), "dB"),
        ("gain_db", "gain with which it was stored", gain_db, "dB"),
        ("flat_top", "longest flat top", 1000 * numbers[:, 1] / rate, "ms"),
        ("silence_before", "silence before the sound", numbers[:, 2] / rate, "s"),
        ("silence_after", "silence after the sound", numbers[:, 3] / rate, "s"),
        ("offset", "mean of the samples", numbers[:, 4], ""),
    )
    return columns + [
        Column(key, label, "number", values.astype(np.float32), unit, group="sound")
        for key, label, values, unit in made
    ]


def measured_sounds(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The measures of rows' stored sounds, as of `measure` [shape=(len(rows), 5)]; on all cores."""
    out = np.full((len(rows), 5), np.nan)
    parts = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows // AUDIO_CHUNK)) + 1)

    def do(part: NDArray[np.int64]) -> None:
        values = np.empty((len(part), 5))
        measure(decode(data.read(AUDIO, rows[part])), values)
        out[part] = values

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(do, [part for part in parts if len(part)]))
    return out


def column(columns: Sequence[Column], key: str) -> Column | None:
    """The column of a key; None where the dataset has none."""
    return next((one for one in columns if one.key == key), None)
