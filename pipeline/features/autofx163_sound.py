"""The 163 features with the pitch measured on the sound itself: what there is where nobody knows the note.

`autofx163` divides by the pitch of the dry note. On a wet recording alone that pitch must be measured, and modulated,
echoing or chorded sounds mislead every estimator: a network that is to hear recordings should learn from features with
the same errors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.feature_set import FeatureSet
from timbre_data.pipeline.features import autofx163
from timbre_data.schemas.arrays import Audio

_BASE = autofx163.FEATURES


def _compute(
    audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: autofx163.Autofx163Settings
) -> NDArray[np.float32]:
    return _BASE.compute(audio, rate, np.full(len(audio), np.nan, np.float32), settings)


FEATURES = FeatureSet(
    summary="As autofx163, with the pitch measured on the wet sound: for models that are to hear recordings.",
    group="features",
    settings=autofx163.Autofx163Settings,
    columns=_BASE.columns,
    compute=_compute,
)
