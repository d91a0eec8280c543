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
from timbre_data.pipeline.store.columns import feature_hash
from timbre_data.pipeline.store.task_session import TaskSession, hashes


class FeatureColumns:
    """One feature set of the rows of a task: `add` its audio chunks in order, then `write` the table."""

    def __init__(self, name: str, settings: Mapping[str, Any], rate: int) -> None:
        self._name, self._rate = name, rate
        self._features: FeatureSet = FEATURE_SETS.load(name)
        self._settings = self._features.settings.model_validate(dict(settings))
        self._path = f"{self._features.group}/{name}"
        self._parts: list[NDArray[Any]] = []

    def add(self, store: TaskSession, start: int, stored: NDArray[Any], f0_hz: NDArray[np.float32]) -> None:
        """Compute the features of an audio chunk's rows from `start` on, from their sounds as stored [shape=(n,
        channels, samples)] and the pitches of their dry notes in Hz [shape=(n,)]; spectrograms are written at once.
        """
        mono = np.ascontiguousarray(decode(stored).mean(axis=1))
        values = self._features.compute(mono, self._rate, f0_hz, self._settings).astype(self._features.dtype)
        if self._features.group == "spectrograms":
            store.write(start, {self._path: values})
            values = hashes({self._path: values}, (self._path,))
        self._parts.append(values)

    def write(self, store: TaskSession, start: int) -> None:
        """Write the features of a task's rows from `start` on, and their hashes."""
        joined = np.concatenate(self._parts)
        if self._features.group == "spectrograms":
            store.write(start, {feature_hash(self._name): joined})
        else:
            hashed = hashes({self._path: joined}, (self._path,))
            store.write(start, {self._path: joined, feature_hash(self._name): hashed})


def columns_of(features_json: str, rate: int) -> list[FeatureColumns]:
    """The feature sets of a task's argument: a JSON object of settings by name."""
    return [FeatureColumns(name, settings, rate) for name, settings in json.loads(features_json).items()]
