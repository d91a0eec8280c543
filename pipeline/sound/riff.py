"""WAV files that end before their header says."""

from __future__ import annotations

from pathlib import Path

STREAMED = 0x7FFFF000
"""Programs that did not know a WAV's length when they began it wrote a size from here on."""

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
"""Of sound files that are read."""


def cut_short(path: Path) -> str:
    """Describe what is missing of a WAV file by its own header, as after an interrupted download, which libsndfile does
    not report. Empty for a complete file, and for other formats.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(8)
    promised, size = int.from_bytes(head[4:], "little") + 8, path.stat().st_size
    if head[:4] != b"RIFF" or promised > STREAMED or promised < 1.01 * size:
        return ""
    return f"cut short: {size:,} of {promised:,} bytes"
