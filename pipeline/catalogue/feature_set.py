"""The interface of a feature set's module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from timbre_data.schemas.arrays import Audio


@dataclass(frozen=True)
class Columns:
    """The outputs of a feature set for a given format: shape of one row, and a name per column where it is flat."""

    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    axes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """A feature vector or spectrogram of a sound.

    `compute(audio, rate, f0_hz, settings)` maps a batch of mono sounds [shape=(n, samples)], with the fundamental of
    each dry note [shape=(n,), NaN where unknown], to float32 [shape=(n, *columns.shape)]. Each row's result depends on
    that row alone. `group` is "features" (vectors) or "spectrograms".
    """

    summary: str
    group: Literal["features", "spectrograms"]
    settings: type[BaseModel]
    columns: Callable[[int, int, Any], Columns]
    compute: Callable[[Audio, int, NDArray[np.float32], Any], NDArray[np.float32]]
    dtype: Literal["float16", "float32"] = "float32"
