"""Folders of recorded notes, one note a file, whose names tell the pitch; an instrument a folder.

flute/A4.mp3, cello/Fs3.mp3      note name, sharps as s or #, flats as b
piano/D#4v8.ogg, horn/C4_ff.wav  with a velocity layer, or a dynamic mark
060.wav, 060-100.wav             MIDI note, or MIDI note and velocity
X.sfz                            where there is one, it says what each sample is
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Literal

from pydantic import Field

from timbre_data.pipeline.catalogue.importer import Importer, Inventory, Origin, Recording
from timbre_data.pipeline.catalogue.source import key_hz
from timbre_data.pipeline.importers._files import files_below, seconds_of
from timbre_data.pipeline.importers._note_names import NamedNote, note_of
from timbre_data.pipeline.importers._sfz import read_sfz
from timbre_data.pipeline.sound.riff import SUFFIXES
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError, UsageError
from timbre_data.schemas.recipe import AudioFormat

WHOLE = "."
"""The name of the instrument of files that lie in the folder itself."""


class NoteFolderSettings(Frozen):
    """The folder, which instruments of it, and how names are read.

    `group` says what a split keeps together: each "file", all files of one "note" of an instrument (its velocity
    layers), or a whole "instrument".
    """

    path: Path = Field(description="folder of the notes, or of one folder an instrument")
    instruments: tuple[str, ...] = Field((), description="folders to use; by default all")
    without: tuple[str, ...] = Field((), description="folders to leave out")
    middle_c: Literal[3, 4, 5] = Field(4, description="octave of MIDI note 60 in the names")
    rename: dict[str, str] = Field(default_factory=dict, description="instrument of a folder, by the folder's name")
    group: Literal["file", "note", "instrument"] = Field("note", description="what a split keeps together")
    licence: str = Field("", description="licence of the recordings, as an SPDX identifier")


@dataclass(frozen=True)
class NoteFile:
    """One recorded note: its file, its name below the folder, its instrument, and what its name or the SFZ tells."""

    file: Path
    identity: str
    instrument: str
    note: NamedNote

    def group(self, by: str) -> str:
        """What a split keeps together."""
        return {
            "file": self.identity,
            "note": f"{self.instrument} {self.note.midi_note}",
            "instrument": self.instrument,
        }[by]


def list_notes(settings: NoteFolderSettings) -> tuple[list[NoteFile], dict[str, str]]:
    """The notes of the chosen folders in the order of their names, and the files that tell none, with the reason.
    Raises `NotFoundError` for a folder that is not there, and `UsageError` for an SFZ file that cannot be understood.
    """
    root = settings.path.expanduser()
    if not root.is_dir():
        raise NotFoundError(f"note_folder: there is no folder {root}. Give one with path=FOLDER.")
    below = [(path, path.relative_to(root)) for path in files_below(root)]
    there = {relative.parts[0] if len(relative.parts) > 1 else WHOLE for _, relative in below}
    unknown = [name for name in (*settings.instruments, *settings.without) if name not in there]
    if unknown:
        raise UsageError(
            f"note_folder: {root} has no folder {', '.join(unknown)}; it has {', '.join(sorted(there)) or 'nothing'}."
        )
    wanted = (set(settings.instruments) or there) - set(settings.without)
    chosen = [
        (path, relative, folder)
        for path, relative in below
        if (folder := relative.parts[0] if len(relative.parts) > 1 else WHOLE) in wanted
    ]
    if not any(path.suffix.lower() in SUFFIXES for path, _, _ in chosen):
        raise NotFoundError(f"note_folder: {root} holds no {', '.join(SUFFIXES)}: give the folder of the notes.")
    by_sfz = dict(_of_sfz([path for path, _, _ in chosen if path.suffix.lower() == ".sfz"]))
    notes, problems = [], {}
    for path, relative, folder in chosen:
        if path.suffix.lower() not in SUFFIXES:
            continue
        shown = relative.as_posix()
        try:
            note = by_sfz[path.resolve()] if by_sfz else note_of(PurePath(path.name).stem, settings.middle_c)
        except KeyError:
            problems[shown] = "unexpected: no SFZ file names it"
            continue
        except ValueError as error:
            problems[shown] = f"unexpected: {error}"
            continue
        instrument = settings.rename.get(folder, root.name if folder == WHOLE else folder)
        notes.append(NoteFile(path, shown, instrument, note))
    return notes, problems


def _of_sfz(files: list[Path]) -> Iterator[tuple[Path, NamedNote]]:
    for path in files:
        try:
            regions = read_sfz(path)
        except ValueError as error:
            raise UsageError(f"{path}: {error}.") from None
        for region in regions:
            yield (path.parent / region.sample).resolve(), NamedNote(region.key_center, float(region.high_velocity))


@lru_cache(maxsize=4)
def _scan(settings_json: str) -> Inventory:
    settings = NoteFolderSettings.model_validate_json(settings_json)
    notes, problems = list_notes(settings)
    origins: list[Origin] = []
    recordings: list[Recording] = []
    for one in notes:
        seconds = seconds_of(one.file)
        if isinstance(seconds, str):
            problems[one.identity] = seconds
            continue
        midi_note = float(one.note.midi_note)
        labels: dict[str, float | str] = {
            "midi_note": midi_note,
            "velocity": float("nan") if one.note.velocity is None else one.note.velocity,
        }
        recordings.append(
            Recording(
                file=one.file,
                identity=one.identity,
                origin=len(origins),
                step="dry",
                labels=labels,
                tags=(one.instrument,),
            )
        )
        origins.append(
            Origin(
                identity=one.identity,
                group=one.group(settings.group),
                file=one.file,
                midi_note=midi_note,
                f0_hz=key_hz(midi_note),
            )
        )
    tags = tuple(sorted({tag for one in recordings for tag in one.tags}))
    return Inventory(tuple(recordings), tuple(origins), problems, tags)


def scan(settings: NoteFolderSettings) -> Inventory:
    """List every note, with its instrument as a tag, and every problem."""
    return _scan(settings.model_dump_json())


scan.cache_clear = _scan.cache_clear  # type: ignore[attr-defined]  # how an importer is told to look again


IMPORTER = Importer(
    summary="Folders of recorded notes whose file names tell the pitch (Fs3.mp3, D#4v8.ogg, 060.wav) or an SFZ file does.",
    citation="Names after Young, R. W. (1939). Terminology for logarithmic frequency units. JASA 11(1), 134-139.",
    licence="LicenseRef-unstated",
    url="https://doi.org/10.1121/1.1916017",
    settings=NoteFolderSettings,
    steps=("dry",),
    audio=AudioFormat(rate=22050, channels=1, seconds=1.5, peak="normalise"),
    scan=scan,
)
