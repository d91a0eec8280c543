"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_disk_full(error: BaseException) -> bool:
    """Whether the operating system refused to write for lack of room: a full disk, a quota or a limit of file sizes."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """Give a path beside `out` to write to: it takes the place of `out` at the end, and is deleted if anything fails
    before.
    """
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    try:
        yield partial
        partial.replace(out)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(out: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with whole(out) as partial:
        partial.write_text(text, encoding="utf-8")
