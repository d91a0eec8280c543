"""Rendering: what a task does with its rows."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.audio import SILENCE_PEAK, decode, encode, levels, storing_gains
from timbre_data.pipeline.build import Task, TaskResult, quiet_threads
from timbre_data.pipeline.chain import Draw
from timbre_data.pipeline.instruments import close_instruments, instrument
from timbre_data.pipeline.kinds import Audio, Performance, UnusableSoundError
from timbre_data.pipeline.plan import Plan
from timbre_data.pipeline.seeding import Stage, generator
from timbre_data.pipeline.store.layout import AUDIO_CHUNK, RESPONSE, RESPONSE_BINS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.rows import DRY_ARRAYS, PLAYED_ARRAYS, ROW_ARRAYS, Columns, TaskSession, hashes
from timbre_data.schemas.errors import BuildError, RenderError, TimbreDataError, UsageError
from timbre_data.schemas.recipe import Recipe

MAX_ATTEMPTS = 50
"""Draws of one row before it counts as impossible."""
ROUNDING_DB = -84.0
"""Two steps of 16 bits: what rounding and effects may make of a noise floor below them."""
HOT_ROWS = 8
"""Rows that go from decoding to encoding together: few enough for a core's cache, enough to share the calls."""
Inputs = NDArray[Any] | Sequence[Performance]
"""What rows are made from: dry sounds as stored [shape=(n, channels, samples)], or what their synth plays."""


@lru_cache(maxsize=8)
def plan_of(recipe_json: str, inventory: str) -> Plan:
    """The plan of a recipe whose source offers what this digest says, kept by each worker process.

    Raises `BuildError` where it offers something else: a folder of sounds may have changed since the stage began.
    """
    plan = Plan(Recipe.model_validate(json.loads(recipe_json)))
    if plan.inventory != inventory:
        raise BuildError(
            f"source {plan.recipe.source.name}: it offers other sounds than when this was begun. Put them back and run the same command again."
        )
    return plan


def render_dry(session: bytes, address: str, task: Task, recipe_json: str, inventory: str) -> TaskResult:
    """Make the dry sounds `task.start` to `task.stop` and write them. What cannot be used is listed in the notes."""
    from timbre_data.pipeline.features._pitch import note_f0

    quiet_threads()
    plan = plan_of(recipe_json, inventory)
    audio = plan.recipe.audio
    store = TaskSession(session, address)
    failures: dict[str, str] = {}
    for start, stop in task.audio_chunks():
        count = stop - start
        sounds = np.zeros((count, audio.channels, audio.samples), np.float32)
        numbers = {name: np.full(count, np.nan, np.float32) for name in ("dry/note", "dry/velocity", "dry/f0_hz")}
        texts = {name: np.full(count, "", object) for name in ("dry/identity", "dry/group")}
        for k, index in enumerate(plan.dry_order[start:stop].tolist()):
            note = plan.source.notes[index]
            try:
                sound = plan.source.render(index, audio.rate, audio.channels, audio.samples)
                _check_dry(sound)
            except UnusableSoundError as error:
                failures[note.identity] = str(error)
                continue
            sounds[k] = sound
            f0_hz = note.f0_hz if np.isfinite(note.f0_hz) else note_f0(sound.mean(axis=0), audio.rate)
            values = (note.midi_note, note.velocity, f0_hz)
            for column, value in zip(numbers.values(), values, strict=True):
                column[k] = value
            texts["dry/identity"][k], texts["dry/group"][k] = note.identity, note.group or note.identity
        stored = np.empty(sounds.shape, audio.dtype)
        gains = storing_gains(np.maximum(np.abs(sounds).max(axis=(1, 2)), SILENCE_PEAK), audio.peak)
        columns: dict[str, NDArray[Any]] = {"dry/audio": stored, "dry/gain": gains, **numbers, **texts}
        encode(sounds, gains, stored)
        columns["integrity/dry"] = hashes(columns, DRY_ARRAYS)
        store.write(start, columns)
    if failures:
        return TaskResult(session=session, rows=0, notes={"failures": failures})
    return TaskResult(session=store.close(), rows=task.stop - task.start)


def write_played(session: bytes, address: str, task: Task, recipe_json: str, inventory: str) -> TaskResult:
    """Write what the synth is to play as `task.start` to `task.stop` of the notes."""
    plan = plan_of(recipe_json, inventory)
    store = TaskSession(session, address)
    indices = plan.dry_order[task.start : task.stop].tolist()
    notes = [plan.source.notes[index] for index in indices]
    columns: dict[str, NDArray[Any]] = {
        "dry/midi": np.array([plan.source.performance(index).to_text() for index in indices], object),
        "dry/identity": np.array([note.identity for note in notes], object),
        "dry/group": np.array([note.group or note.identity for note in notes], object),
        "dry/note": np.array([note.midi_note for note in notes], np.float32),
        "dry/velocity": np.array([note.velocity for note in notes], np.float32),
        "dry/f0_hz": np.array([note.f0_hz for note in notes], np.float32),
    }
    columns["integrity/dry"] = hashes(columns, PLAYED_ARRAYS)
    store.write(task.start, columns)
    return TaskResult(session=store.close(), rows=task.stop - task.start)


def _check_dry(sound: Audio) -> None:
    if not np.isfinite(sound).all():
        raise UnusableSoundError("not finite")
    if np.abs(sound).max() < SILENCE_PEAK:
        raise UnusableSoundError("silent")


def render_rows(
    session: bytes, address: str, task: Task, recipe_json: str, inventory: str, dry_key: str, keep_going: bool
) -> TaskResult:
    """Draw, render, encode and write the rows `task.start` to `task.stop`."""
    quiet_threads()
    plan = plan_of(recipe_json, inventory)
    store = TaskSession(session, address)
    rejected = 0
    tables: list[dict[str, NDArray[Any]]] = []
    failed: list[str] = []
    for start, stop in task.audio_chunks():
        rows = np.arange(start, stop)
        dry_index = plan.dry_index(rows)
        dry: Inputs
        if plan.chain.synth:
            dry = [plan.source.performance(index) for index in plan.dry_order[dry_index].tolist()]
        else:
            dry = _dry_cache.rows(store, dry_key, dry_index)
        try:
            columns, again = make_rows(plan, rows, dry)
        except RenderError:
            if not keep_going:
                raise
            columns, again, messages = _one_by_one(plan, rows, dry)
            failed += messages
        columns["dry/index"] = dry_index.astype(np.int32)
        columns["split"] = plan.row_splits(rows, dry_index)
        columns |= plan.extra_columns(dry_index)
        rejected += again
        columns["integrity/rows"] = hashes(columns, (*ROW_ARRAYS, *plan.extra_labels))
        store.write(start, {"audio": columns.pop("audio")})
        tables.append(columns)
    store.write(task.start, {path: np.concatenate([table[path] for table in tables]) for path in tables[0]})
    return TaskResult(
        session=store.close(),
        rows=task.stop - task.start,
        rejected=rejected,
        notes={"rejected": rejected, "failed": failed},
    )


def make_rows(plan: Plan, rows: NDArray[np.int64], dry: Inputs) -> tuple[dict[str, NDArray[Any]], int]:
    """Render rows from their dry sounds as stored, or from what their synth plays. Returns the columns of these rows and how many draws were rejected.

    A silent or non-finite result is drawn again, with the attempt counted. Raises `RenderError` when a row cannot be made.
    """
    audio = plan.recipe.audio
    draw = plan.chain.draw(plan.recipe.seed, rows)
    count = len(rows)
    columns: dict[str, NDArray[Any]] = {
        "audio": np.empty((count, audio.channels, audio.samples), audio.dtype),
        "labels/effect_db": np.empty(count, np.float32),
        "attempt": np.zeros(count, np.uint16),
        "gain": np.empty(count, np.float32),
        "failed": np.zeros(count, bool),
    }
    hot = plan.chain.synth.batch if plan.chain.synth else HOT_ROWS
    for start in range(0, count, hot):
        _make_hot_rows(plan, draw, rows, dry, slice(start, min(start + hot, count)), columns)
    columns |= _drawn(plan, draw) | {"labels/identifiable": plan.chain.identifiable(draw, audio.seconds)}
    return columns, int(columns["attempt"].sum())


def _drawn(plan: Plan, draw: Draw) -> dict[str, NDArray[Any]]:
    """The columns that are known before anything is rendered."""
    columns: dict[str, NDArray[Any]] = {"params": draw.labels, "labels/mask": draw.mask, "labels/order": draw.order}
    if plan.chain.has_response:
        columns[RESPONSE] = plan.chain.response_db(draw, plan.recipe.audio.rate, RESPONSE_BINS)
    return columns


def _make_hot_rows(plan: Plan, draw: Draw, rows: NDArray[np.int64], dry: Inputs, part: slice, columns: Columns) -> None:
    """Render a few rows while they stay in the core's cache, and fill their places in `columns`."""
    chosen = range(part.start, part.stop)
    source = _sources(plan, draw, rows, dry, chosen)
    wet = np.empty_like(source)
    for i, k in enumerate(chosen):
        _render_one(plan, draw, k, int(rows[k]), source[i], wet[i])
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
        columns["attempt"][k] = attempt
    columns["gain"][part] = gains = storing_gains(peaks, plan.recipe.audio.peak)
    columns["labels/effect_db"][part] = np.nan if plan.chain.synth and len(plan.chain.effects) == 1 else differences
    encode(wet, gains, columns["audio"][part])


def _sources(plan: Plan, draw: Draw, rows: NDArray[np.int64], dry: Inputs, chosen: Sequence[int]) -> Audio:
    """What the effects of some rows get: their dry sounds, or what the synth plays [shape=(len(chosen), channels, samples)]."""
    if plan.chain.synth is None:
        assert isinstance(dry, np.ndarray)
        return decode(dry[chosen[0] : chosen[-1] + 1])
    audio = plan.recipe.audio
    try:
        player = instrument(plan.recipe.chain, plan.chain, audio)
        patches = [plan.chain.step_values(draw.values[k], 0) for k in chosen]
        return player.play([dry[k] for k in chosen], patches, audio.samples)
    except TimbreDataError:
        raise
    except Exception as error:
        k = chosen[0]
        raise _row_error(plan, draw, k, int(rows[k]), f"{type(error).__name__}: {error}") from error


def _render_one(plan: Plan, draw: Draw, k: int, row: int, source: Audio, out: Audio) -> None:
    try:
        out[...] = plan.chain.render(source, plan.recipe.audio.rate, draw.values[k], draw.order[k])
    except TimbreDataError:
        raise
    except Exception as error:
        raise _row_error(plan, draw, k, row, f"{type(error).__name__}: {error}") from error


def _redraw(plan: Plan, draw: Draw, k: int, row: int, attempt: int) -> None:
    again = plan.chain.draw(plan.recipe.seed, np.array([row]), attempt)
    draw.labels[k], draw.values[k], draw.mask[k], draw.order[k] = (
        again.labels[0],
        again.values[0],
        again.mask[0],
        again.order[0],
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
            columns, again = make_rows(plan, rows[k : k + 1], dry[k : k + 1])
        except RenderError as error:
            messages.append(str(error))
            columns, again = _failed_row(plan, int(rows[k])), 0
        parts.append(columns)
        rejected += again
    return {path: np.concatenate([part[path] for part in parts]) for path in parts[0]}, rejected, messages


def _failed_row(plan: Plan, row: int) -> dict[str, NDArray[Any]]:
    """The columns of a row that could not be made: its labels as drawn, silence, and the mark."""
    audio = plan.recipe.audio
    draw = plan.chain.draw(plan.recipe.seed, np.array([row]))
    return _drawn(plan, draw) | {
        "audio": np.zeros((1, audio.channels, audio.samples), audio.dtype),
        "labels/identifiable": np.zeros_like(draw.mask),
        "labels/effect_db": np.full(1, np.nan, np.float32),
        "attempt": np.full(1, MAX_ATTEMPTS, np.uint16),
        "gain": np.ones(1, np.float32),
        "failed": np.ones(1, bool),
    }


class _DryCache:
    """Dry chunks as stored, kept by each worker process up to `LIMIT` bytes: rows come back to the same notes again and again."""

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
        chunk = np.asarray(store.array("dry/audio")[number * AUDIO_CHUNK : (number + 1) * AUDIO_CHUNK])
        with self._lock:
            if (key, number) not in self._chunks:
                self._chunks[key, number] = chunk
                self._bytes += chunk.nbytes
            while self._bytes > self.LIMIT and len(self._chunks) > 1:
                self._bytes -= self._chunks.popitem(last=False)[1].nbytes
        return chunk


_dry_cache = _DryCache()


def stored_input(data: Dataset, row: int) -> Inputs:
    """What one row of a dataset was made from: its dry sound as stored [shape=(1, channels, samples)], or what its synth played."""
    index = np.asarray([data.read("dry/index", row)]).reshape(1).astype(np.int64)
    if data.recipe.chain.synth:
        return [Performance.from_text(str(data.read("dry/midi", index)[0]))]
    return data.read("dry/audio", index)


def runtime_recipe(recipe: Recipe, meta: Mapping[str, Any]) -> Recipe:
    """The recipe as it is carried out: with the isolation mode that was measured for its synth."""
    measured = meta.get("isolation")
    if not recipe.chain.synth or not measured:
        return recipe
    synth = recipe.chain.synth.model_copy(update={"isolation": measured["mode"]})
    return recipe.model_copy(
        update={"chain": recipe.chain.model_copy(update={"steps": (synth, *recipe.chain.steps[1:])})}
    )


def rerender_rows(data: Dataset, count: int, seed: int = 0) -> dict[str, Any]:
    """Render `count` random rows again from the stored dry sounds and compare with what is stored, bit by bit."""
    if data.meta.get("kind") == "imported":
        raise UsageError(
            f"{data.location.address} was imported: there is nothing to render again; leave --rerender out."
        )
    quiet_threads()
    plan = Plan(runtime_recipe(data.recipe, data.meta))
    usable = data.usable()
    rows = np.sort(generator(seed, Stage.SOUND).choice(usable, min(count, len(usable)), replace=False))
    equal, largest = 0, -np.inf
    try:
        for row in rows.tolist():
            dry = stored_input(data, row)
            columns, _ = make_rows(plan, np.array([row]), dry)
            stored, made = data.read("audio", slice(row, row + 1)), columns["audio"]
            equal += bool(
                np.array_equal(stored, made)
                and np.array_equal(data.read("params", slice(row, row + 1)), columns["params"])
            )
            error = float(np.abs(decode(stored) - decode(made)).max())
            largest = max(largest, 20 * np.log10(error) if error else -np.inf)
    finally:
        close_instruments()
    isolation = data.meta.get("isolation")
    floor = -np.inf
    if isolation and isolation["noise_floor_db"] is not None:  # and a step of 16 bits for what rounding makes of it
        floor = max(float(isolation["noise_floor_db"]), ROUNDING_DB)
    within = equal == len(rows) or (np.isfinite(floor) and largest <= floor)
    return {"rendered": len(rows), "equal": equal, "largest_db": largest, "floor_db": floor, "same": bool(within)}
