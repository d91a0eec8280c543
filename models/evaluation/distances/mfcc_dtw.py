"""MFCCs under dynamic time warping: timbre from frame to frame, whatever the timing.

Thirteen cepstral coefficients of the log-mel spectrogram in dB without the first, which is the level; the mean
Euclidean distance of the frames that the best path lays beside each other.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dct
from scipy.spatial.distance import cdist

from timbre_data.models.evaluation.distances import Distance
from timbre_data.models.evaluation.distances._dynamics import DYNAMIC_DB
from timbre_data.pipeline.features import logmel
from timbre_data.schemas.arrays import Audio

COEFFICIENTS = 13
HOP = 4
"""Frames of the spectrogram from one that is compared to the next."""


def _compute(made: Audio, target: Audio, rate: int) -> float:
    from timbre_data.pipeline.sound.warping import warped_cost

    unknown = np.full(2, np.nan, np.float32)
    mel = logmel.FEATURES.compute(np.stack([made, target]), rate, unknown, logmel.LogMelSettings())
    mel = np.maximum(mel, mel[1].max() - DYNAMIC_DB)
    cepstra = dct(mel.astype(np.float64), axis=1, norm="ortho")[:, 1 : COEFFICIENTS + 1, ::HOP]
    cost, length = warped_cost(cdist(cepstra[0].T, cepstra[1].T))
    return float(cost / length)


DISTANCE = Distance(
    summary="Mean distance of MFCCs of frames that dynamic time warping lays beside each other.",
    heading="MFCC DTW",
    compute=_compute,
)
