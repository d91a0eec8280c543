"""Single notes of all pitched General MIDI programs of SoundFonts: winds, strings, keys, mallets, synths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from timbre_data.pipeline.catalogue.seeding import generator, number_of
from timbre_data.pipeline.catalogue.source import Note, Source, key_hz
from timbre_data.pipeline.sound.audio import in_channels, prepare_note
from timbre_data.pipeline.sources._fluidsynth import find_soundfont, fluidsynth, play
from timbre_data.pipeline.sources._phrases import SILENT
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UnusableSoundError, UsageError

PITCHED = tuple(program for program in range(112) if program not in (67, 78))
"""Programs from 0 that play pitches (percussion and sound effects come after them), without two that small SoundFonts
have for the lower keys only.
"""


class GmNotesSettings(Frozen):
    """How many notes, by which programs of which SoundFonts."""

    count: int = Field(2000, ge=1, le=1_000_000, description="number of notes")
    soundfonts: tuple[Path, ...] = Field((), description="SF2 files; by default the one found on this machine")
    programs: tuple[int, ...] = Field(PITCHED, min_length=1, description="General MIDI programs, counted from 0")
    keys: tuple[int, int] = Field((30, 92), description="lowest and highest MIDI note")
    seed: int = Field(0, ge=0, description="seed of the random numbers")
    leave_out: tuple[str, ...] = Field(
        (), description="notes that are not used; --keep-going adds those for which a program has no samples"
    )


class GmNotes:
    """Notes that depend on the seed and their number alone; the programs in turn."""

    def __init__(self, settings: GmNotesSettings) -> None:
        fluidsynth()
        low, high = settings.keys
        if not (0 <= low <= high <= 127 and all(0 <= one <= 127 for one in settings.programs)):
            raise UsageError("gm_notes: keys must be [low, high] and programs numbers within 0-127.")
        self._settings = settings
        paths = [find_soundfont(one, "source.soundfonts=[FILE]") for one in settings.soundfonts or (None,)]
        self._choices = [(path, program) for program in settings.programs for path in paths]
        notes = [self._note(index) for index in range(settings.count)]
        left_out = set(settings.leave_out)
        self._numbers = [index for index, note in enumerate(notes) if note.identity not in left_out]
        self.notes: Sequence[Note] = [notes[index] for index in self._numbers]
        if not self.notes:
            raise UsageError("gm_notes: every note is left out.")

    def _note(self, index: int) -> Note:
        low, high = self._settings.keys
        rng = generator(self._settings.seed, number_of("gm notes"), index)
        path, program = self._choices[index % len(self._choices)]
        key, velocity = int(rng.integers(low, high + 1)), int(rng.integers(30, 128))
        return Note(
            identity=f"note{index:06d}/{path.stem}:{program}/key{key:03d}/velocity{velocity:03d}",
            group=f"{path.stem}:{program}/key{key:03d}",
            velocity=velocity / 127,
            midi_note=float(key),
            f0_hz=key_hz(key),
        )

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Play note `index`, held throughout: float32 (channels, samples) from its onset, peak at 1."""
        from mido import Message

        note = self.notes[index]
        path, program = self._choices[self._numbers[index] % len(self._choices)]
        message = Message("note_on", note=int(note.midi_note), velocity=round(note.velocity * 127))
        stereo = play(path, [(0, 0, program)], [(0.0, message)], rate, samples + rate // 2)
        if float(np.abs(stereo).max()) <= SILENT:
            raise UnusableSoundError(f"{path.name} has no samples for program {program} at this key")
        return prepare_note(in_channels(stereo, channels), rate, samples, cut_onset=True, threshold_db=-40.0)


SOURCE = Source(
    summary="Single notes of all pitched General MIDI programs of SoundFonts, at drawn keys and velocities.",
    settings=GmNotesSettings,
    open=GmNotes,
)
