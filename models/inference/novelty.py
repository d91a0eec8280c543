"""Whether a sound lies outside of what a run learned from: then its prediction is a guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from timbre_data.models.data.learned import Learned, description
from timbre_data.schemas.arrays import Audio

LEARNED_SHARE = 0.99
"""A sound is outside when it is further from the nearest learned one than this share of those are from each other."""
NOTES = 8
"""Notes of a file that are looked at."""
FEWEST = 20
"""With fewer learned sounds nobody can tell."""


@dataclass(frozen=True)
class Novelty:
    """How far a sound is from the nearest learned one, over what nearly all learned ones are from each other: above 1
    it lies outside.
    """

    distance: float

    @property
    def outside(self) -> bool:
        """Whether the sound is like none that was learned."""
        return self.distance > 1

    def text(self, run: str) -> str:
        """In a sentence, for a sound that lies outside."""
        return (
            f"this sound lies outside of what {run} learned from: {self.distance:.1f} times as far from the nearest learned "
            f"sound as {100 * LEARNED_SHARE:g} % of those are from each other. Take the prediction as a guess."
        )


class NoveltyCheck:
    """Compares sounds with those that a run learned from, which are looked at once."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        among = learned.nearest() if len(learned.sample) >= FEWEST else np.full(1, np.nan)
        self._among = max(float(np.quantile(among, LEARNED_SHARE)), 1e-12)

    def __call__(self, notes: Audio, rate: int) -> Novelty | None:
        """How far notes as a dataset would hold them [shape=(n, samples)] are from the learned sounds: their median.
        None where too few learned sounds are kept.
        """
        if len(self._learned.sample) < FEWEST or not len(notes):
            return None
        return Novelty(float(np.median(self._learned.nearest(description(notes, rate)))) / self._among)
