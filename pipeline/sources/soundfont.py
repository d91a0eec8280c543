"""Recorded instruments from a SoundFont (SF2), played by FluidSynth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from timbre_data.pipeline.catalogue.source import Note, Source, key_hz
from timbre_data.pipeline.sound.audio import in_channels, prepare_note
from timbre_data.pipeline.sources._fluidsynth import find_soundfont, fluidsynth, play
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError

CLEAN_ELECTRIC_GUITAR = 27
"""General MIDI program (counted from 0) of the clean electric guitar."""


class SoundfontSettings(Frozen):
    """The file, instrument and notes. Without `path`, the General MIDI SoundFont found on this machine."""

    path: Path | None = Field(None, description="folder or file")
    bank: int = Field(0, ge=0, le=16383, description="MIDI bank")
    program: int = Field(CLEAN_ELECTRIC_GUITAR, ge=0, le=127, description="General MIDI program, counted from 0")
    keys: tuple[int, int] = Field((40, 76), description="lowest and highest MIDI note")
    velocities: tuple[int, ...] = Field((40, 60, 80, 100, 120), min_length=1, description="MIDI velocities to render")
    cut_onset: bool = Field(True, description="whether to cut silence before the onset")
    threshold_db: float = Field(
        -40.0, le=0, ge=-120, description="level of the onset relative to the loudest moment, in dB"
    )


class Soundfont:
    """One program of a SoundFont: every key at every velocity."""

    def __init__(self, settings: SoundfontSettings) -> None:
        fluidsynth()
        low, high = settings.keys
        if not (0 <= low <= high <= 127 and all(1 <= velocity <= 127 for velocity in settings.velocities)):
            raise NotFoundError("soundfont: keys must be [low, high] within 0-127 and velocities within 1-127.")
        self._settings = settings
        self._path = find_soundfont(settings.path)
        self._chosen = [(key, velocity) for key in range(low, high + 1) for velocity in settings.velocities]
        self.notes: Sequence[Note] = [
            Note(
                identity=f"{self._path.stem}/{settings.bank}-{settings.program}/key{key:03d}/velocity{velocity:03d}",
                midi_note=float(key),
                velocity=velocity / 127,
                f0_hz=key_hz(key),
            )
            for key, velocity in self._chosen
        ]

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Play note `index`, held throughout: float32 (channels, samples) from its onset, peak at 1."""
        from mido import Message

        key, velocity = self._chosen[index]
        events = [(0.0, Message("note_on", note=key, velocity=velocity))]
        programs = [(0, self._settings.bank, self._settings.program)]
        stereo = play(self._path, programs, events, rate, samples + rate // 4)
        return prepare_note(
            in_channels(stereo, channels),
            rate,
            samples,
            cut_onset=self._settings.cut_onset,
            threshold_db=self._settings.threshold_db,
        )


SOURCE = Source(
    summary="Recorded instruments from an SF2 SoundFont, by FluidSynth (default: clean electric guitar).",
    settings=SoundfontSettings,
    open=Soundfont,
)
