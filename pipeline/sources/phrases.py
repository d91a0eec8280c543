"""Played phrases as dry sound: guitar, bass, keys, chords and winds of General MIDI, for effects on several notes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.seeding import generator, number_of
from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.pipeline.sound.audio import in_channels
from timbre_data.pipeline.sources._fluidsynth import find_soundfont, fluidsynth, play
from timbre_data.pipeline.sources._phrases import Player, audible_phrase, phrase
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen

PLAYERS = {
    "guitar": Player((24, 25, 26, 27), 40, 76),
    "bass": Player((32, 33, 34, 35), 28, 55),
    "keys": Player((0, 2, 4, 5, 6), 40, 84, pedal=True),
    "chords": Player((0, 4, 24, 27), 40, 72, chords=True),
    "winds": Player((64, 65, 68, 71, 73), 55, 84, sustained=True),
}
"""Kinds of phrases, by the programs (from 0) and the range of who plays them."""
Kind = Literal["guitar", "bass", "keys", "chords", "winds"]


class PhrasesSettings(Frozen):
    """How many phrases, of which kinds, how fast."""

    count: int = Field(500, ge=1, le=1_000_000, description="number of phrases")
    kinds: tuple[Kind, ...] = Field(
        ("guitar", "bass", "keys", "chords"), min_length=1, description="who plays: the kinds in turn"
    )
    beats_per_minute: tuple[float, float] = Field((50, 110), description="slowest and fastest tempo")
    soundfonts: tuple[Path, ...] = Field((), description="SF2 files; by default the one found on this machine")
    seed: int = Field(0, ge=0, description="seed of the random numbers")


class Phrases:
    """Phrases that depend on the seed and their number alone."""

    def __init__(self, settings: PhrasesSettings) -> None:
        fluidsynth()
        self._settings = settings
        self._fonts = [find_soundfont(one, "source.soundfonts=[FILE]") for one in settings.soundfonts or (None,)]
        self.notes: Sequence[Note] = [Note(identity=self._identity(index)) for index in range(settings.count)]

    def _player(self, index: int) -> tuple[str, Path, int]:
        """Kind, SoundFont and program of a phrase."""
        kind = self._settings.kinds[index % len(self._settings.kinds)]
        rng = generator(self._settings.seed, number_of("phrases"), index, 0)
        programs = PLAYERS[kind].programs
        return kind, self._fonts[int(rng.integers(len(self._fonts)))], programs[int(rng.integers(len(programs)))]

    def _identity(self, index: int) -> str:
        kind, font, program = self._player(index)
        return f"phrase{index:06d}/{kind}/{font.stem}:{program}"

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Play a phrase throughout: float32 (channels, samples), peak at 1."""
        kind, font, program = self._player(index)
        rng = generator(self._settings.seed, number_of("phrases"), index, 1)
        tempo = float(rng.uniform(*self._settings.beats_per_minute))
        _, sound = audible_phrase(
            partial(phrase, rng, PLAYERS[kind], samples / rate, beats_per_minute=tempo),
            partial(play, font, [(0, 0, program)], rate=rate, samples=samples),
        )
        mixed = in_channels(sound, channels)
        first = int(np.flatnonzero(np.abs(mixed).max(axis=0) > 1e-3 * np.abs(mixed).max())[0])
        moved = np.pad(mixed[:, first:], ((0, 0), (0, first)))
        return np.ascontiguousarray(moved / max(float(np.abs(moved).max()), 1e-6), np.float32)


SOURCE = Source(
    summary="Played phrases of guitar, bass, keys, chords and winds from General MIDI SoundFonts.",
    settings=PhrasesSettings,
    open=Phrases,
)
