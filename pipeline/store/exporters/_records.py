"""Rows as exports write them: labels in their own units, and the sound."""

from __future__ import annotations

import io
import itertools
import wave
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Literal, TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.threads import available_cores
from timbre_data.pipeline.store.columns import (
    AUDIO,
    AUDIO_CHUNK,
    DRY_IDENTITY,
    DRY_INDEX,
    EFFECT_DB,
    FAILED,
    FRAMES,
    GAIN,
    MASK,
    MEANINGS,
    ORDER,
    ORIGIN_DATASET,
    ORIGIN_ROW,
    PARAMS,
    SPLIT,
    SPLITS,
    TAGS,
)
from timbre_data.pipeline.store.exporters._files import Piece
from timbre_data.pipeline.store.layout import effects_text, segments_of
from timbre_data.pipeline.store.origins import origins_of
from timbre_data.pipeline.store.reader import Dataset

THREADS = max(2, available_cores())
AHEAD = 2 * THREADS
"""Audio chunks that are made while another is written."""


@dataclass(frozen=True)
class Column:
    """One label of an exported row: its name, type and meaning."""

    name: str
    kind: Literal["integer", "number", "text"]
    meaning: str


def columns(data: Dataset) -> list[Column]:
    """The labels of every row, in the order of `records`."""
    found = [
        Column("row", "integer", "number of the row in the dataset"),
        Column("split", "text", MEANINGS[SPLIT]),
        Column("dry", "text", "identity of the dry sound, or of what the synth played"),
        Column("effects", "text", "effects that the row went through, in order, joined by +"),
        Column("gain", "number", MEANINGS[GAIN]),
        Column("effect_db", "number", MEANINGS[EFFECT_DB]),
    ]
    if data.has(ORIGIN_ROW):
        found.append(Column("origin", "text", "dataset in which the row was rendered or imported"))
        found.append(Column("origin_row", "integer", MEANINGS[ORIGIN_ROW]))
    for path in _extra_labels(data):
        if path == TAGS:
            found.append(Column("tags", "text", f"{MEANINGS[TAGS]}, joined by +"))
        elif path == FRAMES:
            found.append(
                Column("segments", "text", "labelled segments: start and end in seconds and class, joined by ;")
            )
        else:
            kind: Literal["number", "text"] = "text" if data.array(path).dtype.kind in "OTU" else "number"
            name = path.partition("/")[2]
            found.append(Column(name, kind, MEANINGS.get(path, f"{name} of the recording")))
    if data.meta.get("kind") != "imported":  # nobody knows the parameters of recordings
        found += [
            Column(parameter.name, "number", f"{parameter.description or parameter.name}{_unit(parameter.unit)}; empty where not applicable")
            for parameter in data.space
        ]  # fmt: skip
    return found


def _unit(unit: str) -> str:
    return f" in {unit}" if unit else ""


def _extra_labels(data: Dataset) -> list[str]:
    """Labels that a source or importer brings. Whole responses are left out: they are in the dataset, and in its zarr
    export.
    """
    plain = [path for path in data.meta.get("extra_labels", ()) if path in (TAGS, FRAMES) or data.array(path).ndim == 1]
    return [str(path) for path in plain]


LABEL_ROWS = 2048
"""Rows whose labels are read at once: they are small, and each read has a price."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """A row as it is exported: labels in their own units, and its sound as a WAV file in two pieces."""

    labels: dict[str, Any]
    header: bytes
    samples: Piece

    @property
    def wav(self) -> bytes:
        """The WAV file."""
        return b"".join((self.header, self.samples))


def blocks(data: Dataset, finish: Callable[[list[Row]], Result]) -> Iterator[Result]:
    """Make the usable rows of each audio chunk in threads, hand them to `finish` there, and yield what it returns, in
    order.
    """
    make = _BlockMaker(data)
    starts = iter(range(0, data.n, AUDIO_CHUNK))

    def work(start: int) -> Result:
        return finish(make(start))

    with ThreadPoolExecutor(THREADS) as pool:
        ahead = deque(pool.submit(work, start) for start in itertools.islice(starts, AHEAD))
        try:
            while ahead:
                result = ahead.popleft().result()
                ahead.extend(pool.submit(work, start) for start in itertools.islice(starts, 1))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


class _BlockMaker:
    """Makes the rows of one audio chunk."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._space, self._steps = data.space, data.names(ORDER, "steps")
        self._extra = _extra_labels(data)
        self._known = data.meta.get("kind") != "imported"  # nobody knows the parameters of recordings
        self._origins = [origin.name for origin in origins_of(data)] if data.has(ORIGIN_ROW) else []
        self._identity = data.read(DRY_IDENTITY).tolist()
        rate = data.recipe.audio.rate
        self._header = wav_bytes(np.zeros((data.recipe.audio.channels, data.recipe.audio.samples), np.int16), rate)[:44]
        self._labels = lru_cache(maxsize=2)(self._read_labels)
        self._reading = Lock()

    def __call__(self, start: int) -> list[Row]:
        data = self._data
        sounds = data.read(AUDIO, slice(start, min(start + AUDIO_CHUNK, data.n)))
        first = start // LABEL_ROWS * LABEL_ROWS
        with self._reading:
            labels = self._labels(first)
        return [
            self._row(row, sound)
            for row, sound in zip(labels[start - first :], sounds, strict=False)
            if row is not None  # those that failed
        ]

    def _row(self, labels: dict[str, Any], sound: NDArray[Any]) -> Row:
        """One row; WAV files of int16 have all the same header."""
        if sound.dtype == np.int16:
            return Row(labels, self._header, np.ascontiguousarray(sound.T, "<i2").data.cast("B"))
        wav = wav_bytes(sound, self._data.recipe.audio.rate)
        return Row(labels, b"", wav)

    def _read_labels(self, start: int) -> list[dict[str, Any] | None]:
        """The labels of some rows; None for those that failed."""
        data, rows = self._data, slice(start, min(start + LABEL_ROWS, self._data.n))
        failed = data.read(FAILED, rows)
        columns = {path: data.read(path, rows) for path in (SPLIT, GAIN, EFFECT_DB, DRY_INDEX, *self._extra)}
        mask, order = data.read(MASK, rows).tolist(), data.read(ORDER, rows).tolist()
        origin, origin_row = (
            (data.read(path, rows).tolist() for path in (ORIGIN_DATASET, ORIGIN_ROW)) if self._origins else ([], [])
        )
        values = self._space.to_values(data.read(PARAMS, rows)).tolist()
        table: list[dict[str, Any] | None] = [None] * len(failed)
        for k in np.flatnonzero(~failed).tolist():
            record: dict[str, Any] = {
                "row": start + k,
                "split": SPLITS[columns[SPLIT][k]],
                "dry": str(self._identity[columns[DRY_INDEX][k]]),
                "effects": effects_text(order[k], self._steps),
                "gain": float(columns[GAIN][k]),
                "effect_db": float(columns[EFFECT_DB][k]),
            }
            if self._origins:
                record |= {"origin": self._origins[origin[k]], "origin_row": origin_row[k]}
            for path in self._extra:
                record |= _extra(data, path, columns[path][k])
            if self._known:
                named = zip(self._space.names, values[k], mask[k], strict=True)
                record |= {name: float(f"{value:.7g}") if applies else None for name, value, applies in named}
            table[k] = record
        return table


def _extra(data: Dataset, path: str, value: Any) -> dict[str, Any]:
    if path == TAGS:
        return {"tags": "+".join(name for name, there in zip(data.names(TAGS), value, strict=True) if there)}
    if path == FRAMES:
        segments = segments_of(value, data.names(FRAMES))
        return {"segments": "; ".join(f"{start:.2f} {stop:.2f} {name}" for start, stop, name in segments)}
    return {path.partition("/")[2]: str(value) if isinstance(value, str) else float(value)}


def wav_bytes(sound: NDArray[Any], rate: int) -> bytes:
    """A WAV file of a sound as stored [shape=(channels, samples)]: int16 passes without another rounding."""
    buffer = io.BytesIO()
    if sound.dtype == np.int16:  # in a fifth of soundfile's time
        with wave.open(buffer, "wb") as file:
            file.setnchannels(len(sound))
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(np.ascontiguousarray(sound.T, "<i2").data)
    else:
        soundfile.write(buffer, sound.T, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()
