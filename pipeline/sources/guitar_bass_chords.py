"""Guitar notes, bass notes, and guitar intervals and chords: what IDMT-SMT-Audio-Effects holds, on the plucked
string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.pipeline.sources.plucked_string import FRETS, GUITAR_STRINGS, PluckedString, PluckedStringSettings
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen

SHAPES = {
    "minor-third": (0, 3),
    "major-third": (0, 4),
    "fourth": (0, 5),
    "fifth": (0, 7),
    "octave": (0, 12),
    "major": (0, 7, 12, 16, 19),
    "minor": (0, 7, 12, 15, 19),
    "seventh": (0, 7, 10, 16, 19),
    "major-seventh": (0, 7, 11, 16, 19),
    "minor-seventh": (0, 7, 10, 15, 19),
    "fourth-fifth": (0, 7, 12, 17, 19),
}
"""Intervals and chords as semitones above the root, low to high."""
LOWEST_ROOT, HIGHEST_ROOT = 40, 57
STRUM_SECONDS = 0.011
"""Time from string to string."""


class GuitarBassChordsSettings(Frozen):
    """The parts to include, and a seed for the differences between plucks."""

    parts: tuple[Literal["guitar", "bass", "chords"], ...] = Field(
        ("guitar", "bass", "chords"), min_length=1, description="instruments and chords to include"
    )
    seed: int = Field(0, ge=0, description="seed of the random numbers")


def fingering(root: int, semitones: Sequence[int]) -> list[tuple[int, int]] | None:
    """(string, fret) of every tone, each on a higher string than the one before; None where no hand could."""
    positions: list[tuple[int, int]] = []
    string = -1
    for tone in semitones:
        string = next(
            (
                number
                for number in range(string + 1, len(GUITAR_STRINGS))
                if 0 <= root + tone - GUITAR_STRINGS[number].midi_note < FRETS
            ),
            len(GUITAR_STRINGS),
        )
        if string == len(GUITAR_STRINGS):
            return None
        positions.append((string, root + tone - GUITAR_STRINGS[string].midi_note))
    return positions


class GuitarBassChords:
    """The notes of `plucked_string` for guitar and bass, and sums of its guitar notes."""

    def __init__(self, settings: GuitarBassChordsSettings) -> None:
        self._guitar = PluckedString(PluckedStringSettings(instrument="guitar", seed=settings.seed))
        self._bass = PluckedString(PluckedStringSettings(instrument="bass", seed=settings.seed))
        self._tones: list[tuple[PluckedString, tuple[int, ...]]] = []
        notes: list[Note] = []
        for part in settings.parts:
            if part == "chords":
                notes += self._chords()
                continue
            instrument = self._guitar if part == "guitar" else self._bass
            notes += instrument.notes
            self._tones += [(instrument, (index,)) for index in range(len(instrument.notes))]
        self.notes: Sequence[Note] = notes

    def _chords(self) -> list[Note]:
        index_of = {note.identity: index for index, note in enumerate(self._guitar.notes)}
        ways = dict.fromkeys(note.identity.rsplit("/", 2)[0] for note in self._guitar.notes)
        notes = []
        for way in ways:
            for root in range(LOWEST_ROOT, HIGHEST_ROOT + 1):
                for name, semitones in SHAPES.items():
                    fingers = fingering(root, semitones)
                    if fingers is None:
                        continue
                    identities = [f"{way}/string{len(GUITAR_STRINGS) - s}/fret{fret:02d}" for s, fret in fingers]
                    self._tones.append((self._guitar, tuple(index_of[identity] for identity in identities)))
                    lowest = self._guitar.notes[index_of[identities[0]]]
                    notes.append(
                        Note(
                            identity=f"chord/{way.removeprefix('guitar/')}/{name}/{root}",
                            midi_note=float(root),
                            velocity=lowest.velocity,
                            f0_hz=lowest.f0_hz,
                        )
                    )
        return notes

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Make one note or chord: float32 (channels, samples), peak at most 1."""
        instrument, tones = self._tones[index]
        sound = instrument.render(tones[0], rate, channels, samples)
        if len(tones) == 1:
            return sound
        total = sound.astype(np.float64)
        for position, tone in enumerate(tones[1:], start=1):
            late = round(position * STRUM_SECONDS * rate)
            total[:, late:] += instrument.render(tone, rate, channels, samples)[:, : samples - late]
        return (total / max(1.0, np.abs(total).max())).astype(np.float32)


SOURCE = Source(
    summary="Plucked-string guitar notes (1872), bass notes (1248), and guitar intervals and chords: the three parts of IDMT-SMT.",
    settings=GuitarBassChordsSettings,
    open=GuitarBassChords,
)
