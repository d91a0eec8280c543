"""Bursts of coloured noise: sound with energy at all frequencies, for effects that are to be learned or measured
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.seeding import generator, number_of
from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen

LOWEST_HZ = 20.0
RISE_SECONDS = 0.005


class NoiseSettings(Frozen):
    """The number of bursts, and the parameters drawn for each: its slope in dB an octave, its length and the time in
    which it fades by 60 dB.
    """

    sounds: int = Field(500, ge=1, description="number of sounds")
    slope_db: tuple[float, float] = Field((-9.0, 0.0), description="0 is white, -3 pink, -6 brown")
    decay_seconds: tuple[float, float] = Field((0.5, 8.0), description="range of the decay time in seconds")
    seed: int = Field(0, ge=0, description="seed of the random numbers")


class Noise:
    """Burst by burst; each depends on the seed and its number only."""

    def __init__(self, settings: NoiseSettings) -> None:
        self._settings = settings
        self.notes: Sequence[Note] = [Note(identity=f"noise{index:06d}") for index in range(settings.sounds)]

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make a burst: float32 (channels, samples), each channel noise of its own, peak at 1."""
        rng = generator(self._settings.seed, number_of("noise"), index)
        slope = rng.uniform(*self._settings.slope_db)
        decay = rng.uniform(*self._settings.decay_seconds)
        spectrum = np.fft.rfft(rng.standard_normal((channels, samples)))
        hertz = np.maximum(np.fft.rfftfreq(samples, 1 / rate), LOWEST_HZ)
        sound = np.fft.irfft(spectrum * (hertz / LOWEST_HZ) ** (slope / (20 * np.log10(2))), samples)
        time = np.arange(samples) / rate
        sound *= np.minimum(time / RISE_SECONDS, 1) * 10 ** (-3 * time / decay)
        return np.ascontiguousarray(sound / np.abs(sound).max(), np.float32)


SOURCE = Source(
    summary="Bursts of noise, from white to brown and darker, that fade fast or slowly.",
    settings=NoiseSettings,
    open=Noise,
)
