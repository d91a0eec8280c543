"""Root mean square difference of Welch power spectra in dB, down to 80 dB below the target's maximum."""

from __future__ import annotations

import numpy as np
from scipy.signal import welch

from timbre_data.models.evaluation.distances import Distance
from timbre_data.models.evaluation.distances._dynamics import DYNAMIC_DB
from timbre_data.schemas.arrays import Audio


def _compute(made: Audio, target: Audio, rate: int) -> float:
    first, second = (10 * np.log10(welch(sound, rate, nperseg=2048)[1] + 1e-20) for sound in (made, target))
    floor = second.max() - DYNAMIC_DB
    return float(np.sqrt(np.mean((np.maximum(first, floor) - np.maximum(second, floor)) ** 2)))


DISTANCE = Distance(
    summary="Root mean square difference of Welch power spectra in dB.", heading="PSD dB", compute=_compute
)
