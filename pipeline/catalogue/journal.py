"""Log files beside datasets and runs, and lines of long jobs that are not said all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

FILE = "log.txt"
"""In the folder of a dataset or run."""
QUIET_SECONDS = 30.0
"""Off a terminal, a line of progress is said so often at most."""
LIVELY_SECONDS = 2.0
"""At a terminal."""

Say = Callable[[str], None]


def note(folder: Path, line: str) -> None:
    """Append a line, with the time, to the log file of a folder. A log that cannot be written stops nothing."""
    try:
        with (folder / FILE).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {' '.join(line.split())}\n")
    except OSError:
        return


class Sparing:
    """Says the first line of a long job, then one now and then, and the last."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._seconds = LIVELY_SECONDS if sys.stderr.isatty() else QUIET_SECONDS
        self._said = -float("inf")
        self._held = ""

    def __call__(self, line: str) -> None:
        """Say a line, if it is time."""
        self._held = line
        if time.monotonic() - self._said >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Say what was held back last."""
        if self._held:
            self._say(self._held)
            self._held, self._said = "", time.monotonic()


def duration(seconds: float) -> str:
    """A time for people: 42 s, 7 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"
