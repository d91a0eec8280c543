"""Tasks that decode, cut, resample and write the recordings of a public dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.chain import UNUSED, Chain
from timbre_data.pipeline.build.engine import Task, TaskResult
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.build.splits import assign
from timbre_data.pipeline.catalogue.importer import Importer, Inventory
from timbre_data.pipeline.catalogue.seeding import share
from timbre_data.pipeline.importers import IMPORTERS
from timbre_data.pipeline.sound.audio import SILENCE_PEAK, encode, magnitude, prepare_note, read, storing_gains
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.columns import (
    ATTEMPT,
    AUDIO,
    DRY_ARRAYS,
    DRY_AUDIO,
    DRY_F0,
    DRY_GAIN,
    DRY_GROUP,
    DRY_HASH,
    DRY_IDENTITY,
    DRY_INDEX,
    DRY_NOTE,
    DRY_VELOCITY,
    EFFECT_DB,
    FAILED,
    FILE,
    FRAMES,
    GAIN,
    IDENTIFIABLE,
    MASK,
    ORDER,
    PARAMS,
    ROW_ARRAYS,
    ROW_HASH,
    SPLIT,
    TAGS,
)
from timbre_data.pipeline.store.task_session import TaskSession, hashes
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import BuildError, UnusableSoundError
from timbre_data.schemas.recipe import Recipe

THRESHOLD_DB = -40.0
"""A recording begins where it first comes this near to its loudest moment."""


LATE_SECONDS = 0.01
"""A piece that would begin so long after the end of its file was promised by the header of one that is cut short."""


@lru_cache(maxsize=4)
def inventory_of(importer: str, settings_json: str, digest: str = "") -> Inventory:
    """The inventory of a folder, cached in each worker process. Raises `BuildError` if its digest is not `digest`:
    files have changed since.
    """
    member: Importer = IMPORTERS.load(importer)
    settings = member.settings.model_validate(json.loads(settings_json))
    inventory = member.scan(settings)
    if digest and inventory.digest != digest:
        forget(member)
        inventory = member.scan(settings)
        if inventory.digest != digest:
            raise BuildError(f"{importer}: files changed while they were imported. Run the same command again.")
    return inventory


@dataclass(frozen=True)
class ImportTask:
    """Arguments shared by all tasks of an import."""

    importer: str
    settings_json: str
    digest: str
    recipe_json: str
    keep_going: bool

    def opened(self) -> tuple[Inventory, Recipe]:
        """Describe the import: the files, and the format of the rows."""
        inventory = inventory_of(self.importer, self.settings_json, self.digest)
        return inventory, Recipe.model_validate_json(self.recipe_json)

    def failed(self, failures: dict[str, str]) -> bool:
        """Whether these files stop the import."""
        return bool(failures) and not self.keep_going


def forget(member: Importer) -> None:
    """Look at the folder again the next time."""
    getattr(member.scan, "cache_clear", lambda: None)()


def own_tables(inventory: Inventory) -> tuple[str, ...]:
    """The label tables that only some sets have."""
    return (*([TAGS] if inventory.tags else []), *([FRAMES] if inventory.frame_classes else []))


def extra_labels(inventory: Inventory) -> dict[str, str]:
    """The importer's own label arrays with their types, and where each row comes from."""
    dtypes = {FILE: "str"}
    for name, value in inventory.recordings[0].labels.items():
        dtypes[f"labels/{name}"] = "str" if isinstance(value, str) else "float32"
    return dtypes


def _sound(file: Path, recipe: Recipe) -> Audio:
    audio = recipe.audio
    return prepare_note(
        read(file, audio.rate, audio.channels), audio.rate, audio.samples, cut_onset=True, threshold_db=THRESHOLD_DB
    )


class _Pieces:
    """Decodes recordings; a file of which several rows take a piece is decoded once, since they stand side by side."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._file: Path | None = None
        self._whole: Audio = np.empty((0, 0), np.float32)

    def __call__(self, file: Path, start_seconds: float | None) -> Audio:
        """The sound of one row [shape=(channels, at most samples)]; before a file begins there is silence. Raises
        `UnusableSoundError`.
        """
        if start_seconds is None:
            return _sound(file, self._recipe)
        audio = self._recipe.audio
        if file != self._file:
            self._whole, self._file = read(file, audio.rate, audio.channels), file
        start = round(start_seconds * audio.rate)
        seconds = self._whole.shape[1] / audio.rate
        if start_seconds - seconds > LATE_SECONDS:
            raise UnusableSoundError(f"cut short after {seconds:.1f} s: its header promises more")
        if start < 0:
            return np.pad(self._whole[:, : max(start + audio.samples, 0)], ((0, 0), (-start, 0)))
        return self._whole[:, start : start + audio.samples]


class _Stored:
    """Sounds of one audio chunk in the form in which they are stored, put there one by one while they are in the cache;
    silence, until then.
    """

    def __init__(self, count: int, recipe: Recipe) -> None:
        self._peak = recipe.audio.peak
        silence = np.zeros((1, recipe.audio.channels, recipe.audio.samples), recipe.audio.dtype)
        self.sounds = np.broadcast_to(silence, (count, *silence.shape[1:]))  # one row of memory, until there is a sound
        self.gains = np.ones(count, np.float32)

    def put(self, k: int, sound: Audio) -> None:
        """Scale a sound [shape=(channels, at most samples)] and store it as the k-th, followed by silence."""
        peak = magnitude(sound)
        if peak > 0:
            if not self.sounds.flags.writeable:
                self.sounds = np.zeros(self.sounds.shape, self.sounds.dtype)
            gain = self.gains[k : k + 1] = storing_gains(np.maximum(peak, SILENCE_PEAK)[None], self._peak)
            for channel, stored in zip(sound, self.sounds[k], strict=True):
                encode(channel[None, None], gain, stored[None, None, : len(channel)])


def _joined(tables: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The small columns of several audio chunks, one after another: to write them once a task costs less."""
    return {path: np.concatenate([table[path] for table in tables]) for path in tables[0]}


def import_origins(session: bytes, address: str, task: Task, work: ImportTask) -> TaskResult:
    """Write the dry sounds `task.start` to `task.stop`: silence where the set has no clean recording of a note."""
    quiet_threads()
    inventory, recipe = work.opened()
    store = TaskSession(session, address)
    decoded = _Pieces(recipe)
    failures: dict[str, str] = {}
    tables: list[dict[str, NDArray[Any]]] = []
    for start, stop in task.audio_chunks():
        origins = inventory.origins[start:stop]
        stored = _Stored(len(origins), recipe)
        for k, origin in enumerate(origins):
            if origin.file is None:
                continue
            try:
                stored.put(k, decoded(origin.file, origin.start_seconds))
            except UnusableSoundError as error:
                failures[str(origin.file)] = str(error)
        columns: dict[str, NDArray[Any]] = {
            DRY_AUDIO: stored.sounds,
            DRY_GAIN: stored.gains,
            DRY_IDENTITY: np.array([origin.identity for origin in origins], object),
            DRY_GROUP: np.array([origin.group or origin.identity for origin in origins], object),
            DRY_NOTE: np.array([origin.midi_note for origin in origins], np.float32),
            DRY_VELOCITY: np.full(len(origins), np.nan, np.float32),
            DRY_F0: np.array([origin.f0_hz for origin in origins], np.float32),
        }
        columns[DRY_HASH] = hashes(columns, DRY_ARRAYS)
        sounds = columns.pop(DRY_AUDIO)
        if any(origin.file for origin in origins):  # silence is what a chunk that is not there reads as
            store.write(start, {DRY_AUDIO: sounds})
        tables.append(columns)
    if work.failed(failures):
        return TaskResult(session=session, rows=0, notes={"failures": failures})
    store.write(task.start, _joined(tables))
    return TaskResult(session=store.close(), rows=task.stop - task.start, notes={"failures": failures})


def import_rows(session: bytes, address: str, task: Task, work: ImportTask) -> TaskResult:
    """Decode, cut, resample and write the recordings `task.start` to `task.stop`, with their labels."""
    quiet_threads()
    inventory, recipe = work.opened()
    chain = Chain(recipe.chain)
    width, extra = len(chain.space), extra_labels(inventory)
    store = TaskSession(session, address)
    decoded = _Pieces(recipe)
    failures: dict[str, str] = {}
    tables: list[dict[str, NDArray[Any]]] = []
    for start, stop in task.audio_chunks():
        recordings = inventory.recordings[start:stop]
        count = len(recordings)
        stored = _Stored(count, recipe)
        failed = np.zeros(count, bool)
        for k, recording in enumerate(recordings):
            try:
                stored.put(k, decoded(recording.file, recording.start_seconds))
            except UnusableSoundError as error:
                failures[recording.identity], failed[k] = str(error), True
        order = np.full((count, len(chain.step_names)), UNUSED, np.int8)
        order[np.arange(count), [chain.step_names.index(recording.step) for recording in recordings]] = 0
        groups = [inventory.origins[one.origin].group or inventory.origins[one.origin].identity for one in recordings]
        columns: dict[str, NDArray[Any]] = {
            AUDIO: stored.sounds,
            PARAMS: np.zeros((count, width), np.float32),
            MASK: np.zeros((count, width), bool),
            IDENTIFIABLE: np.zeros((count, width), bool),
            ORDER: order,
            EFFECT_DB: np.full(
                count, np.nan, np.float32
            ),  # unknown: the clean recording is not the very sound that was processed
            SPLIT: assign(
                np.array([share(group, recipe.split.seed) for group in groups]),
                recipe.split,
                [inventory.origins[one.origin].split for one in recordings],
            ),
            ATTEMPT: np.zeros(count, np.uint16),
            GAIN: stored.gains,
            FAILED: failed,
            DRY_INDEX: np.array([recording.origin for recording in recordings], np.int32),
        }
        for path, dtype in extra.items():
            values = [one.identity if path == FILE else one.labels[path.partition("/")[2]] for one in recordings]
            columns[path] = np.array(values, object if dtype == "str" else dtype)
        if inventory.tags:
            columns[TAGS] = layout.tag_table([one.tags for one in recordings], inventory.tags)
        if inventory.frame_classes:
            segments = [one.segments for one in recordings]
            columns[FRAMES] = layout.frame_table(
                segments, inventory.frame_classes, layout.frames_of(recipe.audio.seconds)
            )
        columns[ROW_HASH] = hashes(columns, (*ROW_ARRAYS, *own_tables(inventory), *extra))
        store.write(start, {AUDIO: columns.pop(AUDIO)})
        tables.append(columns)
    if work.failed(failures):
        return TaskResult(session=session, rows=0, notes={"failures": failures})
    store.write(task.start, _joined(tables))
    return TaskResult(session=store.close(), rows=task.stop - task.start, notes={"failures": failures})
