"""What a build would take: a few hundred of its rows are made in memory, and the time and the bytes are measured."""

from __future__ import annotations

import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.build.machine import nearest_existing, quiet_threads
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.row_rendering import make_rows
from timbre_data.pipeline.sound.audio import as_stored
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.chunks import encoded
from timbre_data.pipeline.store.columns import AUDIO, AUDIO_CHUNK
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.task_session import hashes
from timbre_data.schemas.errors import RenderError, UnusableSoundError

PROBED, PROBED_DRY = 200, 40
"""Rows, and dry sounds, that are made."""
MOST_BYTES, MOST_SECONDS = 200_000_000, 4.0
"""Where rows are large or slow, fewer are."""


@dataclass(frozen=True)
class Estimate:
    """What was measured of `probed` rows, for all that are missing: seconds of one core and by the clock with so many
    workers, bytes on the disk, and bytes that are free there (None in object storage).
    """

    probed: int
    core_seconds: float
    workers: int
    seconds: float
    stored_bytes: int
    free_bytes: int | None

    @property
    def text(self) -> str:
        """In a sentence."""
        free = "" if self.free_bytes is None else f" of {self.free_bytes / 1e9:.0f} GB that are free"
        return (
            f"about {_duration(self.seconds)} with {self.workers} workers ({_duration(self.core_seconds)} of one core) and "
            f"{_size(self.stored_bytes)}{free}, by {self.probed} rows"
        )


def estimate(plan: Plan, missing: int, location: Location, workers: int) -> Estimate | None:
    """Probe a plan, of which so many rows are missing. None where that would start a program or load a plug-in, or
    where a row alone is too large.
    """
    audio, chain = plan.recipe.audio, plan.chain
    hosted = chain.synth is not None and chain.synth.isolations != ("pure",)
    row_bytes = 16 * audio.channels * audio.samples  # dry and wet, as floats and as stored
    count = min(PROBED, missing, MOST_BYTES // row_bytes)
    if count < 1 or hosted or any(step.effect == "plugin" for step in plan.recipe.chain.steps):
        return None
    try:
        with ThreadPoolExecutor(1) as pool:  # whose thread is set up as a worker's is, and this one stays as it was
            measured = pool.submit(_probed, plan, count).result()
    except (RenderError, UnusableSoundError):  # the build itself says it better
        return None
    n = plan.recipe.n
    notes = plan.dry_count(n) - plan.dry_count(n - missing) if chain.synth is None else 0
    core = missing * measured.row_seconds + notes * measured.dry_seconds
    free = None if location.remote else shutil.disk_usage(nearest_existing(location.folder)).free
    return Estimate(
        probed=measured.rows,
        core_seconds=core,
        workers=workers,
        seconds=core / workers,
        stored_bytes=round(measured.stored_bytes * (missing + notes)),
        free_bytes=free,
    )


@dataclass(frozen=True)
class _Measured:
    """How many rows were made, and what one of them, and one dry sound, takes."""

    rows: int
    row_seconds: float
    dry_seconds: float
    stored_bytes: float


def _probed(plan: Plan, count: int) -> _Measured:
    """Make so many rows from the whole range of them as a worker would. Raises `RenderError`, `UnusableSoundError`."""
    quiet_threads()
    rows = np.unique(np.linspace(0, plan.recipe.n - 1, count).astype(np.int64))
    dry, dry_seconds = _dry(plan, plan.dry_index(rows))
    sounds, row_seconds = _rows(plan, rows, dry)
    made = len(sounds)
    array = _array(plan, made)
    begun = time.perf_counter()
    stored = 0
    with tempfile.TemporaryFile() as file:
        for start in range(0, made, AUDIO_CHUNK):
            block = sounds[start : start + AUDIO_CHUNK]
            hashes({AUDIO: block}, (AUDIO,))
            whole = np.resize(block, (AUDIO_CHUNK, *block.shape[1:])) if len(block) < AUDIO_CHUNK else block
            stored += round(file.write(encoded(array, whole)) * len(block) / AUDIO_CHUNK)
    storing = (time.perf_counter() - begun) / made
    return _Measured(made, row_seconds + storing, dry_seconds + storing, stored / made)


def _dry(plan: Plan, dry_index: NDArray[np.int64]) -> tuple[Any, float]:
    """Inputs of rows: dry sounds as stored, of which a few are made and used again; and the seconds that one takes."""
    if plan.chain.synth is not None:
        return [plan.source.performance(index) for index in plan.dry_order[dry_index].tolist()], 0.0
    audio = plan.recipe.audio
    chosen = plan.dry_order[dry_index[:PROBED_DRY]].tolist()

    def made(index: int) -> NDArray[np.float32]:
        return np.asarray(plan.source.render(index, audio.rate, audio.channels, audio.samples), np.float32)

    as_stored(made(chosen[0])[None], audio.dtype, audio.peak)  # what is compiled or loaded at first
    begun = time.perf_counter()
    sounds = []
    for index in chosen:
        sounds.append(made(index))
        if time.perf_counter() - begun > MOST_SECONDS:
            break
    stored, _ = as_stored(np.stack(sounds), audio.dtype, audio.peak)
    seconds = (time.perf_counter() - begun) / len(stored)
    return stored[np.arange(len(dry_index)) % len(stored)], seconds


def _rows(plan: Plan, rows: NDArray[np.int64], dry: Any) -> tuple[NDArray[Any], float]:
    """As many rows as the time allows, as stored, and the seconds that one takes."""
    make_rows(plan, rows[:1], dry[:1])  # what is compiled or loaded at first
    begun = time.perf_counter()
    parts: list[NDArray[Any]] = []
    made = 0
    while made < len(rows) and (not made or time.perf_counter() - begun < MOST_SECONDS):
        size = min(8 if not made else AUDIO_CHUNK, len(rows) - made)
        parts.append(make_rows(plan, rows[made : made + size], dry[made : made + size])[0][AUDIO])
        made += size
    seconds = (time.perf_counter() - begun) / made
    return np.concatenate(parts), seconds


def _array(plan: Plan, rows: int) -> zarr.Array[Any]:
    """An array in memory as the sounds of the dataset would have."""
    specs = layout.specs(plan.recipe, [], plan.chain.step_names, ())
    root = zarr.group(store=zarr.storage.MemoryStore())
    layout.create(root, next(spec for spec in specs if spec.path == AUDIO), rows, plan.recipe.audio.codec)
    array = root[AUDIO]
    assert isinstance(array, zarr.Array)
    return array


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
