"""Mean absolute difference of log-mel spectrograms in dB, down to 80 dB below the target's loudest point."""

from __future__ import annotations

import numpy as np

from timbre_data.models.evaluation.distances import Distance
from timbre_data.models.evaluation.distances._dynamics import DYNAMIC_DB
from timbre_data.pipeline.features import logmel
from timbre_data.schemas.arrays import Audio


def _compute(made: Audio, target: Audio, rate: int) -> float:
    unknown = np.full(2, np.nan, np.float32)
    first, second = logmel.FEATURES.compute(np.stack([made, target]), rate, unknown, logmel.LogMelSettings())
    floor = second.max() - DYNAMIC_DB
    return float(np.abs(np.maximum(first, floor) - np.maximum(second, floor)).mean())


DISTANCE = Distance(
    summary="Mean absolute difference of log-mel spectrograms in dB.", heading="log-mel dB", compute=_compute
)
