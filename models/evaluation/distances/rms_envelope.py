"""How unlike two RMS envelopes are: 1 minus the cosine of the angle between them, so that level does not count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.evaluation.distances import Distance
from timbre_data.schemas.arrays import Audio

FRAME = 512


def _envelope(sound: Audio) -> NDArray[np.float64]:
    padded = np.pad(sound.astype(np.float64), (0, -len(sound) % FRAME))
    return np.asarray(np.sqrt(np.square(padded.reshape(-1, FRAME)).mean(axis=1)))


def _compute(made: Audio, target: Audio, rate: int) -> float:
    first, second = _envelope(made), _envelope(target)
    sizes = float(np.linalg.norm(first) * np.linalg.norm(second))
    if sizes < 1e-12:  # of two silences, or of silence and sound
        return 0.0 if np.linalg.norm(first) + np.linalg.norm(second) < 1e-6 else 1.0
    return max(0.0, 1 - float(first @ second) / sizes)


DISTANCE = Distance(
    summary="1 - cosine similarity of RMS envelopes: the course of loudness, whatever the level.",
    heading="RMS envelope",
    compute=_compute,
)
