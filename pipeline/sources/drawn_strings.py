"""Plucked strings that no instrument has: the model of `plucked_string` with every constant drawn, beyond guitars."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.seeding import generator, number_of
from timbre_data.pipeline.catalogue.source import Note, Source, key_hz
from timbre_data.pipeline.sound.string_model import loop_coefficients, pluck
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import RecipeError, UsageError

HIGHEST_SHARE = 8
"""The model needs a rate of so many times the fundamental."""


LEAST_DECAY = 80.0
"""Decay to -60 dB in periods, at least: the loop's loss filter cannot meet a shorter one at all frequencies."""


class DrawnStringsSettings(Frozen):
    """How many notes, their range, and how far out of tune."""

    count: int = Field(2000, ge=1, le=1_000_000, description="number of notes")
    keys: tuple[int, int] = Field((28, 88), description="lowest and highest MIDI note")
    detune_cents: float = Field(25, ge=0, le=100, description="largest deviation from equal temperament")
    seed: int = Field(0, ge=0, description="seed of the random numbers")


class DrawnStrings:
    """Notes that depend on the seed and their number alone."""

    def __init__(self, settings: DrawnStringsSettings) -> None:
        low, high = settings.keys
        if not 0 <= low <= high <= 100:
            raise UsageError("drawn_strings: keys must be [low, high] within 0-100.")
        self._settings = settings
        self.notes: Sequence[Note] = [self._note(index) for index in range(settings.count)]

    def _note(self, index: int) -> Note:
        s = self._settings
        rng = generator(s.seed, number_of("drawn strings"), index)
        key = int(rng.integers(s.keys[0], s.keys[1] + 1))
        cents = rng.uniform(-s.detune_cents, s.detune_cents)
        return Note(
            identity=f"string{index:06d}/key{key:03d}",
            midi_note=float(key),
            velocity=float(rng.uniform(0.2, 1)),
            f0_hz=key_hz(key + cents / 100),
        )

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make one note: float32 (channels, samples), all channels the same."""
        note = self.notes[index]
        f0_hz = note.f0_hz
        if f0_hz > rate / HIGHEST_SHARE:
            raise RecipeError(
                "audio.rate", rate, f"a string of {f0_hz:.0f} Hz needs at least {math.ceil(HIGHEST_SHARE * f0_hz)} Hz"
            )
        rng = generator(self._settings.seed, number_of("drawn strings"), index, 1)

        def drawn(low: float, high: float) -> float:
            """A number, equal ratios equally likely."""
            return float(np.exp(rng.uniform(math.log(low), math.log(high))))

        inharmonicity, decay = drawn(5e-6, 6e-4), drawn(max(0.4, LEAST_DECAY / f0_hz), 14.0)
        loop = loop_coefficients(f0_hz, float(rate), inharmonicity, decay)
        spread = drawn(0.004, 0.03) if rng.random() < 0.4 else 0.0
        centres = rng.uniform(0.04, 0.45, int(rng.integers(1, 3)))
        coils = [centre + offset for centre in centres for offset in ((-spread, spread) if spread else (0.0,))]
        sound = pluck(
            samples,
            float(rate),
            f0_hz,
            loop,
            float(rng.uniform(0.04, 0.48)),
            np.clip(coils, 0.01, 0.49),
            drawn(400, 9000),
            float(rng.uniform(0, 0.6)),
            min(drawn(1200, 9500), 0.45 * rate),
            drawn(0.5, 2.6),
            0.999,
            10 ** (float(rng.uniform(-95, -50)) / 20),
            np.uint64(rng.integers(2**63)),
        )
        peak = max(float(np.abs(sound).max()), 1e-9)
        return np.repeat((sound / max(peak, 0.999))[None, :], channels, axis=0).astype(np.float32)


SOURCE = Source(
    summary="Plucked strings with every constant drawn: pitch, decay, pick, pick-ups, stiffness, noise.",
    settings=DrawnStringsSettings,
    open=DrawnStrings,
)
