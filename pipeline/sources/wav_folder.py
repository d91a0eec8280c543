"""Any folder of recordings as dry sound: WAV, FLAC, OGG, MP3, AIFF, of any rate and channel count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Literal

import soundfile
from pydantic import Field, field_validator

from timbre_data.pipeline.catalogue.source import Note, Source
from timbre_data.pipeline.sound.audio import prepare_note, read, readable
from timbre_data.pipeline.sound.riff import SUFFIXES, cut_short
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import NotFoundError, SourceError, UnusableSoundError

UNREAD = (".m4a", ".aac", ".wma", ".opus", ".caf", ".mp4", ".webm", ".au", ".w64", ".rf64")
"""Sounds in formats that are not read."""


class WavFolderSettings(Frozen):
    """The folder of the files, and how a note is cut out of each.

    `group` says what a split keeps together: each "file", or all files of a "folder" (one player, one song).
    """

    path: Path = Field(description="folder or file")
    pattern: str = Field("**/*", description="glob pattern of the files below the folder")

    @field_validator("pattern")
    @classmethod
    def _below(cls, value: str) -> str:
        if not value or value.startswith(("/", "~")) or ".." in PurePath(value).parts or "\0" in value:
            raise ValueError("a pattern of files below the folder, such as **/*.wav")
        return value

    cut_onset: bool = Field(True, description="whether to cut silence before the onset")
    threshold_db: float = Field(
        -40.0, le=0, ge=-120, description="level of the onset relative to the loudest moment, in dB"
    )
    group: Literal["file", "folder"] = Field("file", description="what a split keeps together: file or folder")
    leave_out: tuple[str, ...] = Field(
        (), description="files below the folder that are not used; --keep-going adds the unusable ones"
    )


class WavFolder:
    """The sound files of a folder, in the order of their names."""

    def __init__(self, settings: WavFolderSettings) -> None:
        self._settings = settings
        root = settings.path.expanduser()
        if not root.is_dir():
            raise NotFoundError(f"wav_folder: there is no folder {root}. Give one with --set source.path=FOLDER.")
        self._files = sorted(
            path for path in root.glob(settings.pattern) if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        if not self._files:
            raise SourceError(
                "wav_folder", {str(root): f"no file matches {settings.pattern} with {', '.join(SUFFIXES)}"}
            )
        left_out = set(settings.leave_out)
        self._files = [path for path in self._files if path.relative_to(root).as_posix() not in left_out]
        if not self._files:
            raise SourceError("wav_folder", {str(root): "every file is left out"})
        self.notes: Sequence[Note] = [self._note(path.relative_to(root)) for path in self._files]
        others = (path for path in root.glob(settings.pattern) if path.suffix.lower() in UNREAD and path.is_file())
        self.skipped = tuple(sorted(path.relative_to(root).as_posix() for path in others))

    def _note(self, relative: Path) -> Note:
        group = relative.parent.as_posix() if self._settings.group == "folder" else ""
        return Note(identity=relative.as_posix(), group=group)

    def check(self) -> None:
        """Open every file. Raises `SourceError` that names the unreadable ones."""
        problems = {}
        for path in self._files:
            try:
                with readable():
                    missing = cut_short(path) or ("" if soundfile.info(path).frames else "holds no samples")
            except UnusableSoundError as error:
                missing = str(error)
            if missing:
                problems[str(path)] = missing
        if problems:
            raise SourceError("wav_folder", problems)

    def render(self, index: int, rate: int, channels: int, samples: int) -> Audio:
        """Read note `index`: float32 (channels, samples) from its onset, peak at 1."""
        audio = read(self._files[index], rate, channels)
        return prepare_note(
            audio, rate, samples, cut_onset=self._settings.cut_onset, threshold_db=self._settings.threshold_db
        )


SOURCE = Source(
    summary="A folder of sound files (WAV, FLAC, OGG, MP3, AIFF; any rate and channels).",
    settings=WavFolderSettings,
    open=WavFolder,
    licence="",
)
