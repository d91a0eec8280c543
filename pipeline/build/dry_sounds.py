"""Tasks that write dry sounds, or what a synth is to play."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.engine import Task, TaskResult
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.sound.audio import SILENCE_PEAK, as_stored
from timbre_data.pipeline.sound.note_pitch import note_f0
from timbre_data.pipeline.store.columns import (
    DRY_ARRAYS,
    DRY_AUDIO,
    DRY_F0,
    DRY_GAIN,
    DRY_GROUP,
    DRY_HASH,
    DRY_IDENTITY,
    DRY_MIDI,
    DRY_NOTE,
    DRY_VELOCITY,
    PLAYED_ARRAYS,
)
from timbre_data.pipeline.store.task_session import TaskSession, hashes
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import BuildError, UnusableSoundError
from timbre_data.schemas.recipe import Recipe


@lru_cache(maxsize=8)
def plan_of(recipe_json: str, inventory: str) -> Plan:
    """The plan of a recipe whose source offers what this digest says, kept by each worker process.

    Raises `BuildError` where it offers something else: a folder of sounds may have changed since the stage began.
    """
    plan = Plan(Recipe.model_validate(json.loads(recipe_json)))
    if plan.inventory != inventory:
        raise BuildError(
            f"source {plan.recipe.source.name}: the source has changed since this build started. Restore its sounds and run the same command again."
        )
    return plan


def render_dry(session: bytes, address: str, task: Task, recipe_json: str, inventory: str) -> TaskResult:
    """Make the dry sounds `task.start` to `task.stop` and write them. What cannot be used is listed in the notes."""
    quiet_threads()
    plan = plan_of(recipe_json, inventory)
    audio = plan.recipe.audio
    store = TaskSession(session, address)
    failures: dict[str, str] = {}
    tables: list[dict[str, NDArray[Any]]] = []
    for start, stop in task.audio_chunks():
        count = stop - start
        sounds = np.zeros((count, audio.channels, audio.samples), np.float32)
        numbers = {name: np.full(count, np.nan, np.float32) for name in (DRY_NOTE, DRY_VELOCITY, DRY_F0)}
        texts = {name: np.full(count, "", object) for name in (DRY_IDENTITY, DRY_GROUP)}
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
            texts[DRY_IDENTITY][k], texts[DRY_GROUP][k] = note.identity, note.group or note.identity
        stored, gains = as_stored(sounds, audio.dtype, audio.peak)
        columns: dict[str, NDArray[Any]] = {DRY_AUDIO: stored, DRY_GAIN: gains, **numbers, **texts}
        columns[DRY_HASH] = hashes(columns, DRY_ARRAYS)
        store.write(start, {DRY_AUDIO: columns.pop(DRY_AUDIO)})
        tables.append(columns)
    if failures:
        return TaskResult(session=session, rows=0, notes={"failures": failures})
    store.write(task.start, {path: np.concatenate([table[path] for table in tables]) for path in tables[0]})
    return TaskResult(session=store.close(), rows=task.stop - task.start)


def write_played(session: bytes, address: str, task: Task, recipe_json: str, inventory: str) -> TaskResult:
    """Write what the synth is to play as `task.start` to `task.stop` of the notes."""
    plan = plan_of(recipe_json, inventory)
    store = TaskSession(session, address)
    indices = plan.dry_order[task.start : task.stop].tolist()
    notes = [plan.source.notes[index] for index in indices]
    columns: dict[str, NDArray[Any]] = {
        DRY_MIDI: np.array([plan.source.performance(index).to_text() for index in indices], object),
        DRY_IDENTITY: np.array([note.identity for note in notes], object),
        DRY_GROUP: np.array([note.group or note.identity for note in notes], object),
        DRY_NOTE: np.array([note.midi_note for note in notes], np.float32),
        DRY_VELOCITY: np.array([note.velocity for note in notes], np.float32),
        DRY_F0: np.array([note.f0_hz for note in notes], np.float32),
    }
    columns[DRY_HASH] = hashes(columns, PLAYED_ARRAYS)
    store.write(task.start, columns)
    return TaskResult(session=store.close(), rows=task.stop - task.start)


def _check_dry(sound: Audio) -> None:
    if not np.isfinite(sound).all():
        raise UnusableSoundError("not finite")
    if np.abs(sound).max() < SILENCE_PEAK:
        raise UnusableSoundError("silent")
