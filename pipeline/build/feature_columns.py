"""Columns of features: computed by a task from the rows as they are stored, be they read or just rendered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.feature_set import FeatureSet
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import DRY_F0, feature_hash
from timbre_data.pipeline.store.task_session import TaskSession, hashes
from timbre_data.schemas.arrays import Audio


class FeatureColumns:
    """The feature sets of a task's rows, none or several: `add` its audio chunks in order, then `write` the tables.

    `features_json` is a JSON object of settings by name.
    """

    def __init__(self, features_json: str, rate: int) -> None:
        self._sets = [_OneSet(name, settings, rate) for name, settings in json.loads(features_json).items()]

    def add(self, store: TaskSession, start: int, stored: NDArray[Any], dry_index: NDArray[np.int64]) -> None:
        """Compute the features of an audio chunk's rows from `start` on, from their sounds as stored [shape=(n,
        channels, samples)] and the pitches of their dry notes; spectrograms are written at once.
        """
        if not self._sets:
            return
        mono = np.ascontiguousarray(decode(stored).mean(axis=1))
        f0_hz = store.read(DRY_F0, dry_index)
        for one in self._sets:
            one.add(store, start, mono, f0_hz)

    def write(self, store: TaskSession, start: int) -> None:
        """Write the features of a task's rows from `start` on, and their hashes."""
        for one in self._sets:
            one.write(store, start)


class _OneSet:
    def __init__(self, name: str, settings: Mapping[str, Any], rate: int) -> None:
        self._name, self._rate = name, rate
        self._features: FeatureSet = FEATURE_SETS.load(name)
        self._settings = self._features.settings.model_validate(dict(settings))
        self._path = f"{self._features.group}/{name}"
        self._parts: list[NDArray[Any]] = []

    def add(self, store: TaskSession, start: int, mono: Audio, f0_hz: NDArray[np.float32]) -> None:
        values = self._features.compute(mono, self._rate, f0_hz, self._settings).astype(self._features.dtype)
        if self._features.group == "spectrograms":
            store.write(start, {self._path: values})
            values = hashes({self._path: values}, (self._path,))
        self._parts.append(values)

    def write(self, store: TaskSession, start: int) -> None:
        joined = np.concatenate(self._parts)
        if self._features.group == "spectrograms":
            store.write(start, {feature_hash(self._name): joined})
        else:
            hashed = hashes({self._path: joined}, (self._path,))
            store.write(start, {self._path: joined, feature_hash(self._name): hashed})
