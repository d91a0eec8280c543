"""The contract of distances: zero for the same sound, larger for a more different one, finite for silence."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.models.evaluation.distances import DISTANCES, Distance
from timbre_data.schemas.arrays import Audio

RATE = 22_050


class DistanceContract(Contract):
    """A distance compares two sounds of one length."""

    @cached_property
    def distance(self) -> Distance:
        """The member that the module exposes."""
        return DISTANCES.load(self.name)

    @cached_property
    def tone(self) -> Audio:
        """A decaying tone with partials."""
        t = np.arange(RATE // 2) / RATE
        return np.asarray(sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 6)) * np.exp(-3 * t), np.float32)

    def check_says_what_it_is(self) -> None:
        """A summary, and a heading for tables."""
        sentence(self.distance.summary)
        assert self.distance.heading, "it has no heading for tables"

    def check_is_zero_for_the_same_sound(self) -> None:
        """A sound is at no distance from itself."""
        value = self.distance.compute(self.tone, self.tone.copy(), RATE)
        assert abs(value) < 1e-6, f"a sound is at {value:g} from itself"

    def check_grows_with_the_difference(self) -> None:
        """More noise is farther away."""
        noise = np.random.default_rng(0).normal(size=self.tone.shape).astype(np.float32)
        near, far = (self.distance.compute(self.tone + np.float32(a) * noise, self.tone, RATE) for a in (0.01, 0.3))
        assert 0 < near < far, f"a little noise is at {near:g}, much at {far:g}"

    def check_is_finite_for_silence(self) -> None:
        """Silence instead of a sound is far away, not infinitely far."""
        assert np.isfinite(self.distance.compute(np.zeros_like(self.tone), self.tone, RATE)), "not finite for silence"


CONTRACT = DistanceContract
