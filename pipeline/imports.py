"""Importing a public dataset: decode, cut, resample and store it as if it had been rendered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline import catalogue
from timbre_data.pipeline.audio import SILENCE_PEAK, encode, magnitude, prepare_note, read, storing_gains
from timbre_data.pipeline.build import (
    Cluster,
    Progress,
    Silent,
    Task,
    TaskResult,
    dask_client,
    quiet_threads,
    run,
    tasks_for,
)
from timbre_data.pipeline.chain import UNUSED, EffectChain
from timbre_data.pipeline.kinds import Audio, Importer, Inventory, Recording, UnusableSoundError
from timbre_data.pipeline.plan import assign
from timbre_data.pipeline.provenance import provenance
from timbre_data.pipeline.recipes import validate
from timbre_data.pipeline.seeding import share
from timbre_data.pipeline.stages import Report, new_version
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.repository import Location
from timbre_data.pipeline.store.rows import DRY_ARRAYS, ROW_ARRAYS, TaskSession, hashes
from timbre_data.pipeline.store.writer import Writer, meta, set_meta
from timbre_data.schemas.errors import BuildError, SourceError, UsageError
from timbre_data.schemas.recipe import Recipe

THRESHOLD_DB = -40.0
"""A recording begins where it first comes this near to its loudest moment."""
LATE_SECONDS = 0.01
"""A piece that would begin so long after the end of its file was promised by the header of one that is cut short."""


@lru_cache(maxsize=4)
def inventory_of(importer: str, settings_json: str, digest: str = "") -> Inventory:
    """What a folder holds; kept by each worker process. With a `digest` it is that one, or a `BuildError`: files may have changed since."""
    member: Importer = catalogue.load("importer", importer)
    settings = member.settings.model_validate(json.loads(settings_json))
    inventory = member.scan(settings)
    if digest and inventory.digest != digest:
        _forget(member)
        inventory = member.scan(settings)
        if inventory.digest != digest:
            raise BuildError(f"{importer}: files changed while they were imported. Run the same command again.")
    return inventory


@dataclass(frozen=True)
class Job:
    """What every task of an import is told."""

    importer: str
    settings_json: str
    digest: str
    recipe_json: str
    keep_going: bool

    def opened(self) -> tuple[Inventory, Recipe]:
        """What is imported, and as what."""
        inventory = inventory_of(self.importer, self.settings_json, self.digest)
        return inventory, Recipe.model_validate_json(self.recipe_json)

    def failed(self, failures: dict[str, str]) -> bool:
        """Whether these files stop the import."""
        return bool(failures) and not self.keep_going


def _forget(member: Importer) -> None:
    """Look at the folder again the next time."""
    getattr(member.scan, "cache_clear", lambda: None)()


def import_dataset(
    importer: str,
    settings: dict[str, Any],
    location: Location,
    cluster: Cluster,
    *,
    audio: dict[str, Any] | None = None,
    progress: Progress | None = None,
    keep_going: bool = False,
    dry_run: bool = False,
) -> Report:
    """Import a public dataset. The same command again resumes; a finished one is left alone.

    Raises `SourceError` that names every missing, unreadable and unexpected file, unless `keep_going`: then they are left out and
    recorded with the dataset.
    """
    member: Importer = catalogue.load("importer", importer)
    name = importer.replace("-", "_")
    settings, audio = _as_long_as_pieces(member, settings, audio or {})
    checked = validate(member.settings, settings, f"import {importer}")
    settings_json = json.dumps(checked.model_dump(mode="json"))
    _forget(member)
    inventory_of.cache_clear()
    inventory = inventory_of(name, settings_json)
    if inventory.problems and not keep_going:
        raise SourceError(importer, inventory.problems, "--keep-going leaves them out")
    if not inventory.recordings:
        raise UsageError(f"{importer}: no recordings under {settings.get('path')}.")
    recipe = validate(
        Recipe,
        {
            "name": location.name,
            "description": member.summary,
            "licence": member.licence,
            "citation": member.citation,
            "source": {"name": name, **json.loads(settings_json)},
            "chain": {"steps": [{"effect": step} for step in member.steps], "choose": 1},
            "audio": member.audio.model_dump() | audio,
            "n": len(inventory.recordings),
        },
    )
    if dry_run:
        return Report(
            location.address,
            recipe.n,
            recipe.n,
            f"{len(inventory.origins)} dry sounds, {len(inventory.problems)} problems",
        )
    with Writer(location, create=True) as writer:
        _prepare(writer, recipe, inventory)
        notes: list[dict[str, Any]] = []
        job = Job(name, settings_json, inventory.digest, json.dumps(recipe.model_dump(mode="json")), keep_going)
        with dask_client(cluster) as client:
            for path, function, title in (
                ("integrity/dry", import_origins, "dry sounds"),
                ("integrity/rows", import_rows, "recordings"),
            ):
                stored = writer.peek()[path]
                assert isinstance(stored, zarr.Array)
                missing = np.flatnonzero(np.asarray(stored[:]) == 0)
                if not len(missing):
                    continue
                (progress or Silent()).start(title, len(missing), recipe.audio.seconds)
                cheap = function is import_origins and not any(origin.file for origin in inventory.origins)
                tasks = tasks_for(missing, cluster.rows_per_task(len(missing), cheap=cheap))
                notes += run(
                    client,
                    cluster,
                    writer,
                    tasks,
                    function,
                    (job,),
                    message=f"{{rows}} {title}",
                    progress=progress or Silent(),
                )
                (progress or Silent()).stop()
                _raise_failures(importer, notes, keep_going)
        if not notes and meta(writer.peek()).get("version"):
            version = str(meta(writer.peek())["version"])
            return Report(location.address, 0, recipe.n, "finished already", writer.snapshot, version)
        version = new_version(writer, f"{recipe.n} recordings")
        failures = tuple(f"{file}: {reason}" for note in notes for file, reason in note.get("failures", {}).items())
        return Report(location.address, recipe.n, recipe.n, "imported", writer.snapshot, version, failed=failures)


def _as_long_as_pieces(
    member: Importer, settings: dict[str, Any], audio: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of an importer that cuts files, and of the sounds, of one length: a piece fills its row. Raises `UsageError` for two."""
    if "piece_seconds" not in member.settings.model_fields:
        return settings, audio
    given = [of[key] for of, key in ((settings, "piece_seconds"), (audio, "seconds")) if key in of]
    if not given:
        return settings, audio
    if given[0] != given[-1]:
        raise UsageError(
            f"piece_seconds={given[0]} and audio.seconds={given[1]}: a row holds one piece, so give one of them, or the same."
        )
    return settings | {"piece_seconds": given[0]}, audio | {"seconds": given[0]}


def _raise_failures(importer: str, notes: list[dict[str, Any]], keep_going: bool) -> None:
    failures = {file: f"unreadable: {reason}" for note in notes for file, reason in note.get("failures", {}).items()}
    if failures and not keep_going:
        raise SourceError(importer, dict(sorted(failures.items())), "--keep-going leaves them out")


def _prepare(writer: Writer, recipe: Recipe, inventory: Inventory) -> None:
    stored = meta(writer.peek())
    if stored:
        before = Recipe.model_validate(stored["recipe"])
        if stored["inventory"] != inventory.digest or before.identity() != recipe.identity():
            raise UsageError(
                f"{writer.location.address} was imported from other files or annotations, or with other settings: choose another name with --out, or delete it first."
            )
        return
    root = writer.root()
    chain = EffectChain(recipe.chain)
    parameters = [parameter.model_dump(mode="json") for parameter in chain.space.each()]
    extra = _extra(inventory)
    specs = layout.specs(recipe, parameters, chain.labels, inventory.tags, frame_classes=inventory.frame_classes)
    specs += [layout.ArraySpec(path, (), dtype) for path, dtype in extra.items()]
    for spec in specs:
        layout.create(root, spec, recipe.n if spec.follows == "rows" else len(inventory.origins), recipe.audio.codec)
    set_meta(
        root,
        format_version=layout.FORMAT_VERSION,
        kind="imported",
        recipe=recipe.model_dump(mode="json"),
        families=chain.families,
        inventory=inventory.digest,
        provenance=provenance(),
        features={},
        version=None,
        extra_labels=[*_own_tables(inventory), *extra],
        problems=inventory.problems,
    )
    writer.commit(f"created for {recipe.n} recordings")


def _own_tables(inventory: Inventory) -> tuple[str, ...]:
    """The label tables that only some sets have."""
    return (*([layout.TAGS] if inventory.tags else []), *([layout.FRAMES] if inventory.frame_classes else []))


def _extra(inventory: Inventory) -> dict[str, str]:
    """The importer's own label arrays with their types, and where each row comes from."""
    found = {"labels/file": "str"}
    for name, value in inventory.recordings[0].labels.items():
        found[f"labels/{name}"] = "str" if isinstance(value, str) else "float32"
    return found


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

    def __call__(self, recording: Recording) -> Audio:
        """The sound of one row [shape=(channels, at most samples)]. Raises `UnusableSoundError`."""
        if recording.start_seconds is None:
            return _sound(recording.file, self._recipe)
        audio = self._recipe.audio
        if recording.file != self._file:
            self._whole, self._file = read(recording.file, audio.rate, audio.channels), recording.file
        start = round(recording.start_seconds * audio.rate)
        seconds = self._whole.shape[1] / audio.rate
        if recording.start_seconds - seconds > LATE_SECONDS:
            raise UnusableSoundError(f"cut short after {seconds:.1f} s: its header promises more")
        return self._whole[:, start : start + audio.samples]


class _Stored:
    """Sounds of one audio chunk in the form in which they are stored, put there one by one while they are in the cache; silence, until then."""

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


def import_origins(session: bytes, address: str, task: Task, job: Job) -> TaskResult:
    """Write the dry sounds `task.start` to `task.stop`: silence where the set has no clean recording of a note."""
    quiet_threads()
    inventory, recipe = job.opened()
    store = TaskSession(session, address)
    failures: dict[str, str] = {}
    tables: list[dict[str, NDArray[Any]]] = []
    for start, stop in task.audio_chunks():
        origins = inventory.origins[start:stop]
        stored = _Stored(len(origins), recipe)
        for k, origin in enumerate(origins):
            if origin.file is None:
                continue
            try:
                stored.put(k, _sound(origin.file, recipe))
            except UnusableSoundError as error:
                failures[str(origin.file)] = str(error)
        columns: dict[str, NDArray[Any]] = {
            "dry/audio": stored.sounds,
            "dry/gain": stored.gains,
            "dry/identity": np.array([origin.identity for origin in origins], object),
            "dry/group": np.array([origin.group or origin.identity for origin in origins], object),
            "dry/note": np.array([origin.midi_note for origin in origins], np.float32),
            "dry/velocity": np.full(len(origins), np.nan, np.float32),
            "dry/f0_hz": np.array([origin.f0_hz for origin in origins], np.float32),
        }
        columns["integrity/dry"] = hashes(columns, DRY_ARRAYS)
        sounds = columns.pop("dry/audio")
        if any(origin.file for origin in origins):  # silence is what a chunk that is not there reads as
            store.write(start, {"dry/audio": sounds})
        tables.append(columns)
    if job.failed(failures):
        return TaskResult(session=session, rows=0, notes={"failures": failures})
    store.write(task.start, _joined(tables))
    return TaskResult(session=store.close(), rows=task.stop - task.start, notes={"failures": failures})


def import_rows(session: bytes, address: str, task: Task, job: Job) -> TaskResult:
    """Decode, cut, resample and write the recordings `task.start` to `task.stop`, with their labels."""
    quiet_threads()
    inventory, recipe = job.opened()
    chain = EffectChain(recipe.chain)
    width, extra = len(chain.space), _extra(inventory)
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
                stored.put(k, decoded(recording))
            except UnusableSoundError as error:
                failures[recording.identity], failed[k] = str(error), True
        order = np.full((count, len(chain.labels)), UNUSED, np.int8)
        order[np.arange(count), [chain.labels.index(recording.step) for recording in recordings]] = 0
        groups = [inventory.origins[one.origin].group or inventory.origins[one.origin].identity for one in recordings]
        columns: dict[str, NDArray[Any]] = {
            "audio": stored.sounds,
            "params": np.zeros((count, width), np.float32),
            "labels/mask": np.zeros((count, width), bool),
            "labels/identifiable": np.zeros((count, width), bool),
            "labels/order": order,
            "labels/effect_db": np.full(
                count, np.nan, np.float32
            ),  # unknown: the clean recording is not the very sound that was processed
            "split": assign(
                np.array([share(group, recipe.split.seed) for group in groups]),
                recipe.split,
                [inventory.origins[one.origin].split for one in recordings],
            ),
            "attempt": np.zeros(count, np.uint16),
            "gain": stored.gains,
            "failed": failed,
            "dry/index": np.array([recording.origin for recording in recordings], np.int32),
        }
        for path, dtype in extra.items():
            values = [
                one.identity if path == "labels/file" else one.labels[path.partition("/")[2]] for one in recordings
            ]
            columns[path] = np.array(values, object if dtype == "str" else dtype)
        if inventory.tags:
            columns[layout.TAGS] = layout.tag_table([one.tags for one in recordings], inventory.tags)
        if inventory.frame_classes:
            segments = [one.segments for one in recordings]
            columns[layout.FRAMES] = layout.frame_table(
                segments, inventory.frame_classes, layout.frames_of(recipe.audio.seconds)
            )
        columns["integrity/rows"] = hashes(columns, (*ROW_ARRAYS, *_own_tables(inventory), *extra))
        store.write(start, {"audio": columns.pop("audio")})
        tables.append(columns)
    if job.failed(failures):
        return TaskResult(session=session, rows=0, notes={"failures": failures})
    store.write(task.start, _joined(tables))
    return TaskResult(session=store.close(), rows=task.stop - task.start, notes={"failures": failures})
