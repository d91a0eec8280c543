"""Notes for a synth to play: keys, velocities, how long each is held, and chords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.catalogue.source import Note, Source, key_hz
from timbre_data.schemas.base import Frozen

Key = Annotated[int, Field(ge=0, le=127)]


class NotesSettings(Frozen):
    """Every key with every velocity and every chord: `chords` are intervals in semitones above the key, [0] a single
    note.
    """

    keys: tuple[Key, ...] = Field(
        (60,), min_length=1, description="MIDI notes; [low, high] as two numbers with `through`"
    )
    through: bool = Field(False, description="keys are the lowest and highest of a range")
    velocities: tuple[Annotated[int, Field(ge=1, le=127)], ...] = Field(
        (100,), min_length=1, description="MIDI velocities to play"
    )
    chords: tuple[tuple[int, ...], ...] = Field(
        ((0,),), min_length=1, description="chords to play, as intervals in semitones"
    )
    held_seconds: float = Field(0.8, gt=0, le=600, description="from key down to key up")

    @model_validator(mode="after")
    def _playable(self) -> NotesSettings:
        if self.through and not (len(self.keys) == 2 and self.keys[0] <= self.keys[1]):
            raise ValueError("with `through`, keys are two: the lowest and the highest")
        highest = max(self.keys) + max(max(chord) for chord in self.chords if chord)
        lowest = min(self.keys) + min(min(chord) for chord in self.chords if chord)
        if not all(self.chords) or lowest < 0 or highest > 127:
            raise ValueError("every chord needs notes, all between MIDI notes 0 and 127")
        return self


class Notes:
    """The notes in the order key, velocity, chord."""

    def __init__(self, settings: NotesSettings) -> None:
        low, high = settings.keys[0], settings.keys[-1]
        keys = range(low, high + 1) if settings.through else settings.keys
        self._held = settings.held_seconds
        self._chosen = [(k, v, c) for k in keys for v in settings.velocities for c in settings.chords]
        self.notes: Sequence[Note] = [
            Note(
                identity=f"key{key:03d}/velocity{velocity:03d}/{'-'.join(map(str, chord))}",
                group=f"key{key:03d}",
                midi_note=float(key) if len(chord) == 1 else float("nan"),
                velocity=velocity / 127,
                f0_hz=key_hz(key + chord[0]) if len(chord) == 1 else float("nan"),
            )
            for key, velocity, chord in self._chosen
        ]

    def performance(self, index: int) -> Performance:
        """One note or chord, from the first moment on."""
        key, velocity, chord = self._chosen[index]
        return Performance.of(*(PlayedNote(0.0, self._held, key + interval, velocity) for interval in chord))


SOURCE = Source(
    summary="Notes and chords for a synth: keys, velocities, intervals, held so long.",
    settings=NotesSettings,
    open=Notes,
    gives="midi",
)
