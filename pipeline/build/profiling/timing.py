"""How long a synth needs: to start, for its controllers to arrive, and for a note to be gone."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from timbre_data.pipeline.build.profiling.bench import HELD_SECONDS, KEY, RATE, VELOCITY, Bench, Patch
from timbre_data.pipeline.build.profiling.quantities import Measured, distance_db
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.synths.capture.messages import row_messages

TAIL_SECONDS, GONE_DB = 8.0, -90.0
CONTROL_SECONDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
SAFETY_START, LEAST_START_SECONDS = 3.0, 5.0


@dataclass(frozen=True)
class Timing:
    """What was measured, in seconds; `settle` is None where a note is not gone after `TAIL_SECONDS`, and `control`
    where no pause tried suffices.
    """

    start: float
    control: float | None
    settle: float | None

    @property
    def proposed(self) -> dict[str, float]:
        """Fields of a profile with some room on top."""
        fields = {"start_seconds": max(LEAST_START_SECONDS, math.ceil(SAFETY_START * self.start))}
        if self.control is not None:
            fields["control_seconds"] = max(0.05, round(1.5 * self.control, 2))
        if self.settle is not None:
            fields["settle_seconds"] = max(0.5, math.ceil(10 * (1.2 * self.settle + 0.1)) / 10)
        return fields


def measure_timing(bench: Bench, patches: Sequence[Patch], noise_db: float) -> Timing:
    """Measure with a few patches; renders of one patch are up to `noise_db` apart."""
    bench.progress.notice("how long a note takes to be gone")
    settle = _settle(bench, patches)
    bench.progress.notice("how long a controller takes to arrive")
    control = _control(bench, patches, noise_db)
    bench.progress.notice("how long it takes to start")
    began = time.monotonic()
    bench.restart()
    bench.notes(patches[:1])
    return Timing(time.monotonic() - began, control, settle)


def _settle(bench: Bench, patches: Sequence[Patch]) -> float | None:
    """Seconds after a note and the profile's reset until what is left lies `GONE_DB` below its peak, at most over the
    patches.
    """
    note, longest = Performance.of(PlayedNote(0.0, HELD_SECONDS, KEY, VELOCITY)), 0.0
    reset = [bytes.fromhex(message) for message in bench.profile.reset]
    for patch in patches:
        stop = tuple((HELD_SECONDS, message) for message in reset)
        sound = bench.play([Performance(note.events + stop)], [patch], HELD_SECONDS + TAIL_SECONDS)[0]
        loud = np.flatnonzero(np.abs(sound).max(axis=0) > np.abs(sound).max() * 10 ** (GONE_DB / 20))
        left = (int(loud[-1]) + 1 if len(loud) else 0) / RATE - HELD_SECONDS
        if left > TAIL_SECONDS - 0.1:
            return None
        longest = max(longest, left)
    return longest


def _control(bench: Bench, patches: Sequence[Patch], noise_db: float) -> float | None:
    """The smallest pause between a patch's messages and its note with which the note sounds as after a long one."""
    pairs = list(pairwise(patches)) or [(patches[0], patches[0])]
    longest = CONTROL_SECONDS[-1] * 2

    def played(pause: float) -> list[Measured]:
        return [bench.note_after(row_messages(bench.profile, second), pause, first) for first, second in pairs]

    reference = played(longest)
    for pause in CONTROL_SECONDS:
        far = max(distance_db(a, b) for a, b in zip(reference, played(pause), strict=True))
        if far <= max(2 * noise_db, 0.5):
            return pause
    return None
