"""Helpers of importers: listing files, and cutting long ones into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import soundfile

from timbre_data.pipeline.sound.riff import cut_short

IGNORED = (".ds_store", "thumbs.db", "desktop.ini")
"""Files that operating systems leave in folders, in lower case."""


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder in a fixed order, without what operating systems leave there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.lower() not in IGNORED:
            yield path


def seconds_of(path: Path) -> float | str:
    """The length of a sound file by its header, or what is wrong with it."""
    if not path.stat().st_size:
        return "unreadable: an empty file"
    try:
        missing = cut_short(path)
        if missing:
            return f"unreadable: {missing}"
        with soundfile.SoundFile(path) as file:  # `soundfile.info` also has libsndfile write a page about it
            frames, rate = file.frames, file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        return f"unreadable: not a sound file ({str(error).splitlines()[0].rstrip('.')})"
    return frames / rate if frames else "unreadable: holds no samples"


def piece_starts(seconds: float, piece: float) -> list[float]:
    """The starts of the pieces of a sound: side by side, the last one only if at least half of it is sound; always
    one.
    """
    count = max(1, round(seconds / piece - 1e-6))
    return [k * piece for k in range(count)]
