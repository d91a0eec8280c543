"""The embedded default: electric guitar and bass notes by extended Karplus-Strong synthesis.

The string is a loop of a delay line, a loss filter, dispersing all-passes (stiffness) and a tuning all-pass; the pick
and the pick-up each add the comb filter of their position; the coil adds its resonance (Jaffe and Smith 1983;
Karjalainen, Valimaki and Tolonen 1998). The loop's phase delay at the fundamental is exactly one period, so notes are
in tune.

78 positions (six strings, frets 0-12) x 2 guitars x 4 pick-up settings x 3 playing styles = 1872 guitar notes; a bass
has four strings, so 1248.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.source import Note, Source, key_hz
from timbre_data.pipeline.sound.string_model import loop_coefficients, pluck
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import RecipeError

FRETS = 13
MAINS_NOISE_DB = -76.0
"""Level of the amplifier's hiss below a full-scale note: what keeps a quiet tail from becoming digital silence."""


@dataclass(frozen=True)
class Body:
    """One instrument: its coils, and where they and the hand are, in fractions of the open string from the bridge."""

    name: str
    coil_hz: float
    coil_q: float
    coil_spread: float
    pickups: dict[str, tuple[float, ...]]
    sustain: float


@dataclass(frozen=True)
class Style:
    """One way to play: brightness of the pluck, share of scrape noise, loudness, and where along the string."""

    name: str
    brightness_hz: float
    scrape: float
    level: float
    position: float


@dataclass(frozen=True)
class OpenString:
    """An open string: its MIDI note, inharmonicity coefficient B (f_k = k f sqrt(1 + B k^2)) and decay to -60 dB."""

    midi_note: int
    inharmonicity: float
    decay_seconds: float


GUITARS = (
    Body(
        "single-coil",
        4600,
        2.2,
        0.0,
        {"neck": (0.25,), "middle": (0.155,), "bridge": (0.065,), "neck+bridge": (0.25, 0.065)},
        1.0,
    ),
    Body(
        "humbucker",
        2700,
        1.5,
        0.014,
        {"neck": (0.235,), "middle": (0.15,), "bridge": (0.085,), "neck+bridge": (0.235, 0.085)},
        1.35,
    ),
)
BASSES = (
    Body(
        "split-coil",
        3200,
        1.4,
        0.01,
        {"neck": (0.28,), "middle": (0.2,), "bridge": (0.11,), "neck+bridge": (0.28, 0.11)},
        1.0,
    ),
    Body(
        "jazz",
        4200,
        1.8,
        0.0,
        {"neck": (0.23,), "middle": (0.16,), "bridge": (0.095,), "neck+bridge": (0.23, 0.095)},
        1.2,
    ),
)
STYLES = (
    Style("soft", 900, 0.05, 0.45, 0.30),
    Style("hard", 2600, 0.12, 0.9, 0.20),
    Style("pick", 6500, 0.30, 0.8, 0.13),
)
GUITAR_STRINGS = (
    OpenString(40, 1.1e-4, 7.5),
    OpenString(45, 7.0e-5, 7.0),
    OpenString(50, 5.0e-5, 6.5),
    OpenString(55, 9.0e-5, 5.5),
    OpenString(59, 4.5e-5, 5.0),
    OpenString(64, 2.5e-5, 4.5),
)
BASS_STRINGS = (
    OpenString(28, 2.2e-4, 9.0),
    OpenString(33, 1.5e-4, 8.5),
    OpenString(38, 1.0e-4, 8.0),
    OpenString(43, 7.0e-5, 7.0),
)


class PluckedStringSettings(Frozen):
    """The instrument, and a seed for the differences between plucks (the scrape of the pick)."""

    instrument: Literal["guitar", "bass"] = Field("guitar", description="guitar, or other instruments of the model")
    seed: int = Field(0, ge=0, description="seed of the random numbers")


@dataclass(frozen=True)
class _Pluck:
    body: Body
    pickup: str
    style: Style
    string: int
    fret: int


class PluckedString:
    """All notes of one instrument family, each made when asked for."""

    def __init__(self, settings: PluckedStringSettings) -> None:
        guitar = settings.instrument == "guitar"
        bodies = GUITARS if guitar else BASSES
        self._strings: tuple[OpenString, ...] = GUITAR_STRINGS if guitar else BASS_STRINGS
        self._seed = settings.seed
        self._plucks = [
            _Pluck(body, pickup, style, string, fret)
            for body in bodies
            for pickup in body.pickups
            for style in STYLES
            for string in range(len(self._strings))
            for fret in range(FRETS)
        ]
        self.notes: Sequence[Note] = [self._note(settings.instrument, one) for one in self._plucks]

    def _note(self, instrument: str, one: _Pluck) -> Note:
        midi_note = self._strings[one.string].midi_note + one.fret
        return Note(
            identity=f"{instrument}/{one.body.name}/{one.pickup}/{one.style.name}/string{len(self._strings) - one.string}/fret{one.fret:02d}",
            midi_note=float(midi_note),
            velocity=one.style.level,
            f0_hz=key_hz(midi_note),
        )

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make one note: float32 (channels, samples); a guitar is mono, so all channels are the same."""
        one, f0_hz = self._plucks[index], self.notes[index].f0_hz
        if f0_hz > rate / 8:
            raise RecipeError(
                "audio.rate",
                rate,
                f"a plucked string of {f0_hz:.0f} Hz needs a rate of at least {math.ceil(8 * f0_hz)} Hz",
            )
        open_string = self._strings[one.string]
        shortening = 2 ** (one.fret / 12)
        loop = loop_coefficients(
            f0_hz,
            float(rate),
            open_string.inharmonicity * shortening**2,  # B grows with 1 / length^2
            one.body.sustain * open_string.decay_seconds / shortening**0.5,
        )
        spread = one.body.coil_spread
        centres = one.body.pickups[one.pickup]
        coils = [centre + offset for centre in centres for offset in ((-spread, spread) if spread else (0.0,))]
        sound = pluck(
            samples,
            float(rate),
            f0_hz,
            loop,
            one.style.position * shortening,
            np.array(coils) * shortening,
            one.style.brightness_hz,
            one.style.scrape,
            one.body.coil_hz,
            one.body.coil_q,
            one.style.level,
            10 ** (MAINS_NOISE_DB / 20),
            np.uint64((self._seed * 1_000_003 + int(index) + 1) & 0xFFFFFFFFFFFFFFFF),
        )
        return np.repeat(sound[None, :], channels, axis=0)


SOURCE = Source(
    summary="Extended Karplus-Strong electric guitar (1872 notes) or bass (1248): the embedded default.",
    settings=PluckedStringSettings,
    open=PluckedString,
)
