"""The 163 features with the variance of each series, as Table B.1 of D'Hooghe 2022 prints it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.feature_set import Columns, FeatureSet
from timbre_data.pipeline.features import autofx163
from timbre_data.schemas.arrays import Audio

_BASE = autofx163.FEATURES
DEVIATION, VARIANCE = "_std", "_variance"


def deviations(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which of the 163 are a standard deviation [shape=(163,)]."""
    return np.array([name.endswith(DEVIATION) for name in names])


def _columns(rate: int, samples: int, settings: autofx163.Autofx163Settings) -> Columns:
    base = _BASE.columns(rate, samples, settings)
    renamed = (f"{name.removesuffix(DEVIATION)}{VARIANCE}" if name.endswith(DEVIATION) else name for name in base.names)
    return Columns(shape=base.shape, names=tuple(renamed))


def _compute(
    audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: autofx163.Autofx163Settings
) -> NDArray[np.float32]:
    computed = _BASE.compute(audio, rate, f0_hz, settings)
    squared = deviations(_BASE.columns(rate, audio.shape[1], settings).names)
    computed[:, squared] **= 2
    return computed


FEATURES = FeatureSet(
    summary="As autofx163, with the variance of each series where that has its standard deviation (Table B.1 as printed).",
    group="features",
    settings=autofx163.Autofx163Settings,
    columns=_columns,
    compute=_compute,
)
