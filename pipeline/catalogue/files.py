"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

OWNER = ".owner"
"""In a folder of our own: locked by the process that uses it."""


def is_disk_full(error: BaseException) -> bool:
    """Whether the operating system refused to write for lack of room: a full disk, a quota or a limit of file sizes."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OwnFolder:
    """A new folder `PREFIX*` in `parent`, for as long as this process uses it. Folders of that kind whose process was
    killed are deleted first: they hold a lock file that nobody has locked any more, or nothing yet.
    """

    def __init__(self, parent: Path, prefix: str) -> None:
        for left in parent.glob(f"{glob.escape(prefix)}*/{OWNER}"):
            lock = FileLock(left)
            try:
                lock.acquire(timeout=0)
            except (Timeout, OSError):
                continue
            shutil.rmtree(left.parent, ignore_errors=True)
            lock.release()
        for empty in parent.glob(f"{glob.escape(prefix)}*"):
            with suppress(OSError):  # not empty: in use, or not ours
                empty.rmdir()
        while True:  # somebody who clears up may be faster than we
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            self._lock = FileLock(self.path / OWNER)
            try:
                self._lock.acquire(timeout=0)
                return
            except (Timeout, FileNotFoundError):
                continue
            except BaseException:
                shutil.rmtree(self.path, ignore_errors=True)
                raise

    def close(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


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
