"""Summed squared difference of Welch power spectra, each with its maximum at 1: the measure of Assayag's inverse
synthesizer, as far as it is described.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import welch

from timbre_data.models.evaluation.distances import Distance
from timbre_data.schemas.arrays import Audio


def _compute(made: Audio, target: Audio, rate: int) -> float:
    first, second = (welch(sound, rate, nperseg=2048)[1] for sound in (made, target))
    return float(np.square(first / max(first.max(), 1e-20) - second / max(second.max(), 1e-20)).sum())


DISTANCE = Distance(
    summary="Summed squared difference of Welch power spectra, each scaled to a maximum of 1.",
    heading="PSD summed squares",
    compute=_compute,
)
