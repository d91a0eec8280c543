"""Files that are written whole or not at all, and whether those of others are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STREAMED = 0x7FFFF000
"""Programs that did not know a WAV's length when they began it wrote a size from here on."""


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """Give a path beside `out` to write to: it takes the place of `out` at the end, and is deleted if anything fails before."""
    aside = out.with_name(f".{out.stem}.partial{out.suffix}")
    try:
        yield aside
        aside.replace(out)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_whole(out: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with whole(out) as aside:
        aside.write_text(text, encoding="utf-8")


def cut_short(path: Path) -> str:
    """What a WAV file lacks by its own header, as after half a download: libsndfile takes what is there. Nothing for a whole one, or others."""
    with path.open("rb", buffering=0) as file:
        head = file.read(8)
    promised, size = int.from_bytes(head[4:], "little") + 8, path.stat().st_size
    if head[:4] != b"RIFF" or promised > STREAMED or promised < 1.01 * size:
        return ""
    return f"cut short: {size:,} of {promised:,} bytes"
