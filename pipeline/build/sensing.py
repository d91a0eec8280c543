"""What can be heard of each label: every parameter of a row is drawn once more, by itself, and the row is played again.

The distance between the two sounds is stored, for any effect, plug-in or captured synth: how much a parameter matters
in this very row, measured instead of ruled. It lies beside the feature sets, and is counted, hashed and resumed as they
are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.engine import Cluster, Task, TaskResult
from timbre_data.pipeline.build.featurizing import fill_missing, make_room
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.build.rerendering import play_settings, runtime_recipe
from timbre_data.pipeline.build.stage import Report, restore_tag
from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.catalogue.seeding import Stage, generator
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import (
    AUDIO,
    DRY_AUDIO,
    DRY_INDEX,
    DRY_MIDI,
    MASK,
    ORDER,
    PARAMS,
    TABLE_CHUNK,
    feature_hash,
)
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.origins import ORIGINS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.task_session import TaskSession, hashes
from timbre_data.pipeline.store.writer import Writer, meta
from timbre_data.pipeline.synths.hosting.trust import require_recipe
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.recipe import Recipe

NAME = "sensitivity"
PATH = "features/sensitivity"
UNCHANGED = "unchanged"
"""The last column: the distance of a row that is played again as it is from what is stored, the noise of the others."""
DYNAMIC_DB = 80.0
"""Down to so far below the louder sound's top, differences count."""
LOUDEST = 0.05
"""The share of a spectrogram's cells that has to change, for a change to count."""


def log_mel_changes(sounds: Audio, rate: int) -> NDArray[np.float64]:
    """How far sounds [shape=(k + 1, samples)] are from the first of them: the absolute difference of log-mel
    spectrograms in dB, down to 80 dB below the louder one's top, that a twentieth of the cells exceed [shape=(k,)].

    Over all cells, the mean would say that nobody hears a shelf in the bass, which has few of them.
    """
    from timbre_data.pipeline.features import logmel  # which loads PyTorch

    unknown = np.full(len(sounds), np.nan, np.float32)
    mel = logmel.FEATURES.compute(np.ascontiguousarray(sounds), rate, unknown, logmel.LogMelSettings())
    tops = np.maximum(mel[0].max(), mel[1:].max(axis=(1, 2)))[:, None, None] - DYNAMIC_DB
    changes = np.abs(np.maximum(mel[1:], tops) - np.maximum(mel[0], tops))
    return np.asarray(np.quantile(changes, 1 - LOUDEST, axis=(1, 2)), np.float64)


def redrawn(chain: Chain, row: int, seed: int) -> NDArray[np.float64]:
    """Another normalized value of every parameter, drawn as the recipe draws it [shape=(p,)]."""
    uniform = generator(seed, row, Stage.LABELS).random(len(chain.space.parameters))
    drawn = [p.quantile(uniform[k : k + 1])[0] for k, p in enumerate(chain.space.parameters)]
    return np.array(drawn, np.float64)


def sense_rows(session: bytes, address: str, task: Task, settings_json: str) -> TaskResult:
    """Measure the rows `task.start` to `task.stop`, and write them."""
    quiet_threads()
    store = TaskSession(session, address)
    about = meta(store.root)
    recipe = runtime_recipe(Recipe.model_validate(about["recipe"]), about)
    chain, seed = Chain(recipe.chain), int(json.loads(settings_json)["seed"])
    rows = slice(task.start, task.stop)
    labels, mask, order = (store.read(path, rows) for path in (PARAMS, MASK, ORDER))
    index = store.read(DRY_INDEX, rows).astype(np.int64)
    out = np.zeros((task.stop - task.start, labels.shape[1] + 1), np.float32)
    for start, stop in task.audio_chunks():
        stored = decode(store.read(AUDIO, slice(start, stop))).mean(axis=1)
        dry = store.read(DRY_MIDI if chain.synth else DRY_AUDIO, index[start - task.start : stop - task.start])
        for k, row in enumerate(range(start, stop)):
            here = row - task.start
            columns = np.flatnonzero(mask[here])
            variants = np.tile(labels[here].astype(np.float64), (len(columns) + 1, 1))
            variants[np.arange(1, len(variants)), columns] = redrawn(chain, row, seed)[columns]
            given = [Performance.from_text(str(dry[k]))] if chain.synth else decode(dry[k : k + 1])
            played = play_settings(recipe, chain, given, order[here], variants)[0].mean(axis=1)
            out[here, columns] = log_mel_changes(played, recipe.audio.rate)
            again = _as_loud(played[0], stored[k])
            out[here, -1] = log_mel_changes(np.stack([stored[k], again]), recipe.audio.rate)[0]
    store.write(task.start, {PATH: out, feature_hash(NAME): hashes({PATH: out}, (PATH,))})
    return TaskResult(session=store.close(), rows=task.stop - task.start)


def _as_loud(sound: Audio, other: Audio) -> Audio:
    """A sound with the peak of another: what is stored may have been scaled."""
    return np.asarray(sound * (np.abs(other).max() / max(float(np.abs(sound).max()), 1e-9)), np.float32)


def sense(
    location: Location, cluster: Cluster, *, seed: int = 0, progress: Progress | None = None, dry_run: bool = False
) -> Report:
    """Measure all rows of a rendered dataset that are not measured yet.

    Raises `UsageError` for imported and merged datasets, whose rows cannot be played by one chain, and
    `UntrustedError` for a recipe with a program or plug-in that is not trusted.
    """
    data = Dataset(location.address)
    if data.meta.get("kind") == "imported" or data.meta.get(ORIGINS):
        raise UsageError(
            f"{location.address} was {'imported' if data.meta.get('kind') == 'imported' else 'made from others'}: only rows that were rendered here can be played again."
        )
    if not len(data.usable()):
        raise UsageError(f"{location.address} has no rows yet: render it first.")
    names = data.space.names
    settings = {"seed": seed, "parameters": list(names)}
    stored = data.feature_sets().get(NAME)
    if stored and stored["settings"] != settings:
        raise UsageError(f"{location.address} holds {NAME} with seed {stored['settings']['seed']}: leave --seed out.")
    require_recipe(data.recipe)
    if dry_run:
        there = int((data.read(feature_hash(NAME)) != 0).sum()) if stored else 0
        left = int(data.present().sum()) - there
        return Report(location.address, left, data.n, f"{NAME}: {left} rows to measure", data.snapshot, data.version)
    with Writer(location) as writer:
        restore_tag(writer)
        if PATH not in writer.peek():
            columns: Sequence[str] = (*names, UNCHANGED)
            make_room(writer, NAME, PATH, settings, (len(columns),), {"names": list(columns)}, "float32", TABLE_CHUNK)
        arguments: tuple[Any, ...] = (json.dumps(settings),)
        plays = data.recipe.chain.synth is not None
        return fill_missing(writer, NAME, sense_rows, arguments, cluster, progress or NoProgress(), plays=plays)
