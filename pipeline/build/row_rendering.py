"""The task that draws, renders and writes rows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.chain import Draw
from timbre_data.pipeline.build.dry_sounds import plan_of
from timbre_data.pipeline.build.engine import Task, TaskResult
from timbre_data.pipeline.build.feature_columns import FeatureColumns
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.players import instrument
from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.sound.audio import SILENCE_PEAK, decode, encode, levels, storing_gains
from timbre_data.pipeline.store.columns import (
    ATTEMPT,
    AUDIO,
    AUDIO_CHUNK,
    DRY_AUDIO,
    DRY_INDEX,
    EFFECT_DB,
    FAILED,
    GAIN,
    IDENTIFIABLE,
    MASK,
    ORDER,
    PARAMS,
    RESPONSE,
    ROW_ARRAYS,
    ROW_HASH,
    SPLIT,
)
from timbre_data.pipeline.store.layout import RESPONSE_BINS
from timbre_data.pipeline.store.task_session import Columns, TaskSession, hashes
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import RenderError, TimbreDataError

MAX_ATTEMPTS = 50
"""Draws of one row before it counts as impossible."""


CACHE_BLOCK = 8
"""Rows that go from decoding to encoding together: few enough for a core's cache, enough to share the calls."""


Inputs = NDArray[Any] | Sequence[Performance]
"""The inputs of rows: dry sounds as stored [shape=(n, channels, samples)], or the notes that their synth plays."""


def render_rows(
    session: bytes,
    address: str,
    task: Task,
    recipe_json: str,
    inventory: str,
    dry_key: str,
    keep_going: bool,
    features_json: str,
) -> TaskResult:
    """Draw, render, encode and write the rows `task.start` to `task.stop`, and their features while the sounds are at
    hand.
    """
    quiet_threads()
    plan = plan_of(recipe_json, inventory)
    store = TaskSession(session, address)
    rejected = 0
    tables: list[dict[str, NDArray[Any]]] = []
    failed: list[str] = []
    features = FeatureColumns(features_json, plan.recipe.audio.rate)
    draw = plan.chain.draw(plan.recipe.seed, np.arange(task.start, task.stop))
    for start, stop in task.audio_chunks():
        rows = np.arange(start, stop)
        dry_index = plan.dry_index(rows)
        dry: Inputs
        if plan.chain.synth:
            dry = [plan.source.performance(index) for index in plan.dry_order[dry_index].tolist()]
        else:
            dry = _dry_cache.rows(store, dry_key, dry_index)
        try:
            columns, redrawn = make_rows(plan, rows, dry, draw[start - task.start : stop - task.start])
        except RenderError:
            if not keep_going:
                raise
            columns, redrawn, messages = _one_by_one(plan, rows, dry)
            failed += messages
        columns[DRY_INDEX] = dry_index.astype(np.int32)
        columns[SPLIT] = plan.row_splits(rows, dry_index)
        columns |= plan.extra_columns(dry_index)
        rejected += redrawn
        columns[ROW_HASH] = hashes(columns, (*ROW_ARRAYS, *plan.extra_labels))
        sounds = columns.pop(AUDIO)
        store.write(start, {AUDIO: sounds})
        features.add(store, start, sounds, dry_index)
        tables.append(columns)
    features.write(store, task.start)
    store.write(task.start, {path: np.concatenate([table[path] for table in tables]) for path in tables[0]})
    return TaskResult(
        session=store.close(),
        rows=task.stop - task.start,
        rejected=rejected,
        notes={"rejected": rejected, FAILED: failed},
    )


def make_rows(
    plan: Plan, rows: NDArray[np.int64], dry: Inputs, draw: Draw | None = None
) -> tuple[dict[str, NDArray[Any]], int]:
    """Render rows from their dry sounds as stored, or from what their synth plays; `draw` is their labels where they
    are drawn already. Returns the columns of these rows and how many draws were rejected.

    A silent or non-finite result is drawn again, with the attempt counted. Raises `RenderError` when a row cannot be
    made.
    """
    audio = plan.recipe.audio
    draw = plan.chain.draw(plan.recipe.seed, rows) if draw is None else draw
    count = len(rows)
    columns: dict[str, NDArray[Any]] = {
        AUDIO: np.empty((count, audio.channels, audio.samples), audio.dtype),
        EFFECT_DB: np.empty(count, np.float32),
        ATTEMPT: np.zeros(count, np.uint16),
        GAIN: np.empty(count, np.float32),
        FAILED: np.zeros(count, bool),
    }
    cache_block = plan.chain.synth.batch if plan.chain.synth else CACHE_BLOCK
    for start in range(0, count, cache_block):
        _make_block(plan, draw, rows, dry, slice(start, min(start + cache_block, count)), columns)
    columns |= _drawn(plan, draw) | {IDENTIFIABLE: plan.chain.identifiable(draw, audio.seconds)}
    return columns, int(columns[ATTEMPT].sum())


def _drawn(plan: Plan, draw: Draw) -> dict[str, NDArray[Any]]:
    """The columns that are known before anything is rendered."""
    columns: dict[str, NDArray[Any]] = {PARAMS: draw.labels, MASK: draw.mask, ORDER: draw.order}
    if plan.chain.has_response:
        columns[RESPONSE] = plan.chain.response_db(draw, plan.recipe.audio.rate, RESPONSE_BINS)
    return columns


def _make_block(plan: Plan, draw: Draw, rows: NDArray[np.int64], dry: Inputs, part: slice, columns: Columns) -> None:
    """Render a few rows while they stay in the core's cache, and fill their places in `columns`."""
    indices = range(part.start, part.stop)
    source = _sources(plan, draw, rows, dry, indices)
    wet = _rendered(plan, draw, rows, part, source)
    peaks, differences = levels(wet, source)
    for i in np.flatnonzero(~(peaks >= SILENCE_PEAK)).tolist():  # NaN too
        k = part.start + i
        row, attempt = int(rows[k]), 0
        while not peaks[i] >= SILENCE_PEAK:
            attempt += 1
            if attempt == MAX_ATTEMPTS:
                raise _row_error(plan, draw, k, row, f"{MAX_ATTEMPTS} draws were all silent or not finite")
            _redraw(plan, draw, k, row, attempt)
            if plan.chain.synth:
                source[i] = _sources(plan, draw, rows, dry, [k])[0]
            _render_one(plan, draw, k, row, source[i], wet[i])
            peaks[i : i + 1], differences[i : i + 1] = levels(wet[i : i + 1], source[i : i + 1])
        columns[ATTEMPT][k] = attempt
    columns[GAIN][part] = gains = storing_gains(peaks, plan.recipe.audio.peak)
    columns[EFFECT_DB][part] = np.nan if plan.chain.synth and len(plan.chain.effects) == 1 else differences
    encode(wet, gains, columns[AUDIO][part])


def _sources(plan: Plan, draw: Draw, rows: NDArray[np.int64], dry: Inputs, indices: Sequence[int]) -> Audio:
    """The input of the effects of some rows: their dry sounds, or the output of the synth [shape=(len(chosen),
    channels, samples)].
    """
    if plan.chain.synth is None:
        assert isinstance(dry, np.ndarray)
        return decode(dry[indices[0] : indices[-1] + 1])
    audio = plan.recipe.audio
    try:
        player = instrument(plan.recipe.chain, plan.chain, audio)
        patches = [plan.chain.step_values(draw.values[k], 0) for k in indices]
        return player.play([dry[k] for k in indices], patches, audio.samples)
    except TimbreDataError:
        raise
    except Exception as error:
        k = indices[0]
        raise _row_error(plan, draw, k, int(rows[k]), f"{type(error).__name__}: {error}") from error


def _rendered(plan: Plan, draw: Draw, rows: NDArray[np.int64], part: slice, source: Audio) -> Audio:
    """The sounds behind the effects. What goes wrong is laid on the row it goes wrong with."""
    wet = np.empty_like(source)
    try:
        plan.chain.render_rows(source, plan.recipe.audio.rate, draw.values[part], draw.order[part], wet)
    except TimbreDataError:
        raise
    except Exception:
        for i, k in enumerate(range(part.start, part.stop)):
            _render_one(plan, draw, k, int(rows[k]), source[i], wet[i])
    return wet


def _render_one(plan: Plan, draw: Draw, k: int, row: int, source: Audio, out: Audio) -> None:
    try:
        out[...] = plan.chain.render(source, plan.recipe.audio.rate, draw.values[k], draw.order[k])
    except TimbreDataError:
        raise
    except Exception as error:
        raise _row_error(plan, draw, k, row, f"{type(error).__name__}: {error}") from error


def _redraw(plan: Plan, draw: Draw, k: int, row: int, attempt: int) -> None:
    new_draw = plan.chain.draw(plan.recipe.seed, np.array([row]), attempt)
    draw.labels[k], draw.values[k], draw.mask[k], draw.order[k] = (
        new_draw.labels[0],
        new_draw.values[0],
        new_draw.mask[0],
        new_draw.order[0],
    )


def _row_error(plan: Plan, draw: Draw, k: int, row: int, cause: str) -> RenderError:
    return RenderError(row, plan.chain.space.as_mapping(draw.values[k]), cause)


def _one_by_one(plan: Plan, rows: NDArray[np.int64], dry: Inputs) -> tuple[dict[str, NDArray[Any]], int, list[str]]:
    """Render rows singly, marking those that fail instead of stopping."""
    parts: list[dict[str, NDArray[Any]]] = []
    rejected = 0
    messages: list[str] = []
    for k in range(len(rows)):
        try:
            columns, redrawn = make_rows(plan, rows[k : k + 1], dry[k : k + 1])
        except RenderError as error:
            messages.append(str(error))
            columns, redrawn = _failed_row(plan, int(rows[k])), 0
        parts.append(columns)
        rejected += redrawn
    return {path: np.concatenate([part[path] for part in parts]) for path in parts[0]}, rejected, messages


def _failed_row(plan: Plan, row: int) -> dict[str, NDArray[Any]]:
    """The columns of a row that could not be made: its labels as drawn, silence, and the mark."""
    audio = plan.recipe.audio
    draw = plan.chain.draw(plan.recipe.seed, np.array([row]))
    return _drawn(plan, draw) | {
        AUDIO: np.zeros((1, audio.channels, audio.samples), audio.dtype),
        IDENTIFIABLE: np.zeros_like(draw.mask),
        EFFECT_DB: np.full(1, np.nan, np.float32),
        ATTEMPT: np.full(1, MAX_ATTEMPTS, np.uint16),
        GAIN: np.ones(1, np.float32),
        FAILED: np.ones(1, bool),
    }


class _DryCache:
    """Dry chunks as stored, kept by each worker process up to `LIMIT` bytes: rows come back to the same notes again and
    again.
    """

    LIMIT = 256 * 2**20

    def __init__(self) -> None:
        self._chunks: OrderedDict[tuple[str, int], NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def rows(self, store: TaskSession, key: str, index: NDArray[np.int64]) -> NDArray[Any]:
        """Stored dry sounds by index; `key` changes when they do."""
        chunks = {number: self._chunk(store, key, number) for number in np.unique(index // AUDIO_CHUNK).tolist()}
        return np.stack([chunks[i // AUDIO_CHUNK][i % AUDIO_CHUNK] for i in index.tolist()])

    def _chunk(self, store: TaskSession, key: str, number: int) -> NDArray[Any]:
        with self._lock:
            if (key, number) in self._chunks:
                self._chunks.move_to_end((key, number))
                return self._chunks[key, number]
        chunk = store.read(DRY_AUDIO, slice(number * AUDIO_CHUNK, (number + 1) * AUDIO_CHUNK))
        with self._lock:
            if (key, number) not in self._chunks:
                self._chunks[key, number] = chunk
                self._bytes += chunk.nbytes
            while self._bytes > self.LIMIT and len(self._chunks) > 1:
                self._bytes -= self._chunks.popitem(last=False)[1].nbytes
        return chunk


_dry_cache = _DryCache()
