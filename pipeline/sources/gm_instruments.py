"""A stand-in for IRMAS: random phrases of its eleven instruments, or of four classes, by General MIDI SoundFonts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.seeding import generator, number_of, share
from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.pipeline.sound.audio import in_channels
from timbre_data.pipeline.sources._fluidsynth import find_soundfont, fluidsynth, play
from timbre_data.pipeline.sources._phrases import (
    DRUM_BANK,
    DRUM_CHANNEL,
    INSTRUMENTS,
    Events,
    audible_phrase,
    beat,
    phrase,
)
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UsageError

Split = Literal["train", "validation", "test"]
TEST_PROGRAMS = 0.25
VALIDATION, TEST = 0.12, 0.2
"""Shares of phrases."""
SOFTEST_DB = -12.0


DRUMS = "drums"
CLASSES: dict[str, dict[str, tuple[str, ...]]] = {
    "eleven": {name: (name,) for name in INSTRUMENTS},
    "four": {
        "piano": ("piano",),
        DRUMS: (DRUMS,),
        "flute": ("flute",),
        "other": tuple(name for name in INSTRUMENTS if name not in ("piano", "flute")),
    },
}
"""The instruments of each class: those of IRMAS one by one, and the four classes of Sivalingam et al., whose drums are
here the standard drum kit.
"""


class GmInstrumentsSettings(Frozen):
    """The number of phrases, their SoundFonts, and what is held out for testing.

    `held_out` "program": of every instrument with several programs (over all SoundFonts) a quarter, at least one, is
    heard in test phrases only; an instrument with one program is divided by phrase. "phrase": all are divided by
    phrase. `most_voices` above 1 makes test phrases of one to so many instruments at random levels, as in the testing
    part of IRMAS. `varispeed`: a training phrase is played faster or slower by up to so many semitones, on keys moved
    the other way: the pitch stays, and formants, attack and vibrato are those of a smaller or larger instrument, so
    that a few programs stand for more. `layered`: so many of the training phrases are played by two programs of the
    instrument together, the second softer: timbres between those that the SoundFonts have. `training_soundfonts` play
    training phrases only, and leave it as it is what is kept for testing. Test and validation phrases are played as
    they are.
    """

    classes: Literal["eleven", "four"] = Field(
        "eleven", description="eleven: the instruments of IRMAS; four: piano, drums, flute and other"
    )
    phrases: int = Field(3000, ge=11, description="number of phrases")
    soundfonts: tuple[Path, ...] = Field((), description="SF2 files; by default the one found on this machine")
    training_soundfonts: tuple[Path, ...] = Field((), description="SF2 files that are heard in training phrases only")
    held_out: Literal["program", "phrase"] = Field("program", description="how programs are held out for testing")
    most_voices: int = Field(1, ge=1, le=5, description="largest number of instruments in a test phrase")
    varispeed: int = Field(4, ge=0, le=6, description="semitones; 0 plays training phrases as testing ones")
    layered: float = Field(0, ge=0, le=1, description="share of the training phrases that two programs play together")
    seed: int = Field(0, ge=0, description="seed of the random numbers")


class _Phrase(NamedTuple):
    voices: tuple[tuple[str, str, int], ...]
    """Instrument, SoundFont and program of each."""
    semitones: int
    layer: tuple[str, int] | None
    """SoundFont and program that play the first voice's notes too."""


def _programs(fonts: Sequence[Path]) -> dict[str, list[tuple[str, int]]]:
    """The programs of every instrument in some SoundFonts."""
    names = sorted(path.stem for path in fonts)
    programs = {name: player.programs for name, player in INSTRUMENTS.items()} | {DRUMS: (0,)}
    return {name: [(font, program) for font in names for program in each] for name, each in programs.items()}


def _at_level(sound: Audio, level_db: float) -> Audio:
    """A sound with its peak at that level; silence as it is."""
    return 10 ** (level_db / 20) * sound / max(float(np.abs(sound).max()), 1e-6)


def _phrase_of(name: str, rng: np.random.Generator, seconds: float) -> Events:
    if name == DRUMS:
        return beat(rng, float(rng.uniform(60, 160)), seconds)
    return phrase(rng, INSTRUMENTS[name], seconds)


class GmInstruments:
    """Phrases, the instruments in turn; what is played in each depends on the seed and its number only."""

    def __init__(self, settings: GmInstrumentsSettings) -> None:
        fluidsynth()
        self._classes = CLASSES[settings.classes]
        self._class_of = {name: one for one, names in self._classes.items() for name in names}
        self.tags = tuple(self._classes)
        self._settings = settings
        paths = [find_soundfont(one, "source.soundfonts=[FILE]") for one in settings.soundfonts or (None,)]
        further = [find_soundfont(one, "source.training_soundfonts=[FILE]") for one in settings.training_soundfonts]
        self._fonts = {path.stem: path for path in (*paths, *further)}
        if len(self._fonts) < len(paths) + len(further):
            raise UsageError("gm_instruments: two SoundFonts have the same file name.")
        self._programs = _programs(paths)
        self._kept = {name: self._for_testing(name) for name in self._class_of}
        self._further = _programs(further)
        planned = [self._plan(index) for index in range(settings.phrases)]
        self._phrases = [played for played, _ in planned]
        self.notes: Sequence[Note] = [note for _, note in planned]

    def _for_testing(self, name: str) -> set[tuple[str, int]]:
        """The programs of an instrument that are heard in test phrases only."""
        programs = self._programs[name]
        if self._settings.held_out == "phrase" or len(programs) < 2:
            return set()
        ordered = sorted(programs, key=lambda one: share(f"{one[0]}/{one[1]}", self._settings.seed))
        return set(ordered[: max(1, round(TEST_PROGRAMS * len(ordered)))])

    def _fitting(self, name: str, split: Split) -> list[tuple[str, int]]:
        """The programs of an instrument that may play phrases of a split."""
        suitable = self._kept[name]
        fitting = [one for one in self._programs[name] if not suitable or (one in suitable) == (split == "test")]
        return fitting + (self._further[name] if split == "train" else [])

    def _choice(self, rng: np.random.Generator, tag: str, split: Split) -> tuple[str, str, int]:
        names = self._classes[tag]
        name = names[int(rng.integers(len(names)))] if len(names) > 1 else names[0]
        fitting = self._fitting(name, split)
        font, program = fitting[int(rng.integers(len(fitting)))]
        return name, font, program

    def _layer(self, rng: np.random.Generator, voice: tuple[str, str, int], split: Split) -> tuple[str, int] | None:
        """Another program for a training phrase, if it gets one."""
        name, *program = voice
        others = [one for one in self._fitting(name, split) if one != tuple(program)]
        if split != "train" or not others or rng.random() >= self._settings.layered:
            return None
        return others[int(rng.integers(len(others)))]

    def _plan(self, index: int) -> tuple[_Phrase, Note]:
        """The players of a phrase, their manner, and its split."""
        rng = generator(self._settings.seed, number_of("gm_instruments"), index, 0)
        share_ = rng.random()
        split: Split = "test" if share_ < TEST else "validation" if share_ < TEST + VALIDATION else "train"
        first = self._choice(rng, self.tags[index % len(self.tags)], split)
        voices = [first]
        if split == "test" and self._settings.most_voices > 1:
            others = rng.permutation([tag for tag in self.tags if tag != self._class_of[first[0]]]).tolist()
            voices += [self._choice(rng, tag, split) for tag in others[: int(rng.integers(self._settings.most_voices))]]
        furthest = self._settings.varispeed if split == "train" else 0
        semitones = int(rng.integers(-furthest, furthest + 1))
        played = _Phrase(tuple(voices), semitones, self._layer(rng, first, split))
        identity = f"phrase{index:06d}/{'+'.join(f'{name}:{font}:{program}' for name, font, program in voices)}"
        if played.layer:
            identity += f"&{played.layer[0]}:{played.layer[1]}"
        by_program = len(voices) == 1 and self._kept[first[0]]
        group = f"{first[0]}:{first[1]}:{first[2]}" if by_program else identity
        return played, Note(
            identity=identity, group=group, tags=tuple(self._class_of[name] for name, _, _ in voices), split=split
        )

    def _played(
        self, name: str, font: str, program: int, rate: int, samples: int, semitones: int, events: Events
    ) -> Audio:
        drums = name == DRUMS
        where = (DRUM_CHANNEL, DRUM_BANK, 0) if drums else (0, 0, program)
        return play(self._fonts[font], [where], events, rate, samples, semitones=0 if drums else semitones)

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Play a phrase: float32 (channels, samples), peak at 1."""
        rng = generator(self._settings.seed, number_of("gm_instruments"), index, 1)
        mixed = np.zeros((2, samples), np.float32)
        played = self._phrases[index]
        for number, (name, font, program) in enumerate(played.voices):
            events, sound = audible_phrase(
                partial(_phrase_of, name, rng, samples / rate),
                partial(self._played, name, font, program, rate, samples, played.semitones),
            )
            mixed += _at_level(sound, float(rng.uniform(SOFTEST_DB, 0)) if number else 0.0)
            if played.layer and not number:
                layer = self._played(name, *played.layer, rate, samples, played.semitones, events)
                mixed += _at_level(layer, float(rng.uniform(SOFTEST_DB, 0)))
        mixed = in_channels(mixed, channels)
        return np.ascontiguousarray(mixed / max(float(np.abs(mixed).max()), 1e-6), np.float32)


SOURCE = Source(
    summary="Stand-in for IRMAS: random phrases of its eleven instruments from General MIDI SoundFonts.",
    settings=GmInstrumentsSettings,
    open=GmInstruments,
)
