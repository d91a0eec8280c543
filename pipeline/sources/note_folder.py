"""Recorded notes as dry sound, from folders whose file names tell the pitch: see the importer of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from timbre_data.pipeline.catalogue.source import Note, Source, key_hz
from timbre_data.pipeline.importers._files import seconds_of
from timbre_data.pipeline.importers.note_folder import NoteFolderSettings, list_notes
from timbre_data.pipeline.sound.audio import prepare_note, read
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import SourceError

HIGHEST_VELOCITY = 127


class RecordedNotesSettings(NoteFolderSettings):
    """The folder, and how a note is cut out of each file. With `tags` the instrument of a row is a label too."""

    keys: tuple[int, int] = Field((0, 127), description="lowest and highest MIDI note")
    tags: Literal["instrument", "none"] = Field("none", description="whether rows are labelled with their instrument")
    cut_onset: bool = Field(True, description="whether to cut silence before the onset")
    threshold_db: float = Field(
        -40.0, le=0, ge=-120, description="level of the onset relative to the loudest moment, in dB"
    )
    leave_out: tuple[str, ...] = Field(
        (), description="files below the folder that are not used; --keep-going adds the unusable ones"
    )


class RecordedNotes:
    """The notes of a folder, in the order of their names; `problems` are the files that tell no pitch."""

    def __init__(self, settings: RecordedNotesSettings) -> None:
        self._settings = settings
        listed, self.problems = list_notes(settings)
        left_out = set(settings.leave_out)
        low, high = settings.keys
        self._notes = [one for one in listed if one.identity not in left_out and low <= one.note.midi_note <= high]
        self.problems = {name: why for name, why in self.problems.items() if name not in left_out}
        if not self._notes:
            raise SourceError(
                "note_folder", self.problems or {str(settings.path): "holds no note between keys and not left out"}
            )
        tagged = settings.tags == "instrument"
        self.tags: tuple[str, ...] = tuple(sorted({one.instrument for one in self._notes})) if tagged else ()
        self.notes: Sequence[Note] = [
            Note(
                identity=one.identity,
                group=one.group(settings.group),
                tags=(one.instrument,) if tagged else (),
                midi_note=float(one.note.midi_note),
                velocity=float("nan") if one.note.velocity is None else one.note.velocity / HIGHEST_VELOCITY,
                f0_hz=key_hz(one.note.midi_note),
            )
            for one in self._notes
        ]

    def check(self) -> None:
        """Look into every file. Raises `SourceError` for those that are unreadable or tell no pitch."""
        problems = dict(self.problems)
        for one in self._notes:
            found = seconds_of(one.file)
            if isinstance(found, str):
                problems[one.identity] = found
        if problems:
            raise SourceError("note_folder", problems)

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Read note `index`: float32 (channels, samples) from its onset, peak at 1."""
        audio = read(self._notes[index].file, rate, channels)
        return prepare_note(
            audio, rate, samples, cut_onset=self._settings.cut_onset, threshold_db=self._settings.threshold_db
        )


SOURCE = Source(
    summary="Recorded notes from folders whose file names tell the pitch (Fs3.mp3, D#4v8.ogg, 060.wav), or an SFZ file does.",
    settings=RecordedNotesSettings,
    open=RecordedNotes,
    licence="",
)
