"""The error of the fundamental in cents, up to an octave; sounds of which only one has a pitch are an octave apart."""

from __future__ import annotations

import math

from timbre_data.models.evaluation.distances import Distance
from timbre_data.schemas.arrays import Audio

MOST = 1200.0


def _compute(made: Audio, target: Audio, rate: int) -> float:
    from timbre_data.pipeline.sound.note_pitch import note_f0

    first, second = note_f0(made, rate), note_f0(target, rate)
    if not (math.isfinite(first) and math.isfinite(second)):
        return 0.0 if math.isfinite(first) == math.isfinite(second) else MOST
    return min(MOST, abs(1200 * math.log2(first / second)))


DISTANCE = Distance(
    summary="Error of the fundamental (YIN) in cents, at most 1200.", heading="f0 error, cents", compute=_compute
)
