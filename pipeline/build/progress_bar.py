"""The progress of long commands, on stderr: a bar at a terminal, one line per stage elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from timbre_data.pipeline.catalogue.journal import QUIET_SECONDS, Sparing, duration
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.schemas.errors import AbandonedBuildError, ClusterLostError, InterruptedBuildError


class _Speed(ProgressColumn):
    """Rows a second, and how much faster than real time."""

    def render(self, task: Task) -> Text:
        return Text(_speed_text(task.finished_speed or task.speed or 0.0, **task.fields["about"]), style="cyan")


def _speed_text(speed: float, unit: str, seconds_per_row: float) -> str:
    if unit == "bytes":
        return f"{speed / 1e6:.1f} MB/s"
    return f"{speed:.0f} {unit}/s, {speed * seconds_per_row:.0f} x real time"


class Bar:
    """A `Progress` of the build that a person sees."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(
            *columns,
            TextColumn("{task.fields[rejected]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar.start()

    def start(self, title: str, total: int, seconds_per_row: float, unit: str = "rows") -> None:
        """A stage of `total` rows, or bytes, begins."""
        self._title, self._rows, self._rejected, self._began = title, 0, 0, time.monotonic()
        self._about: Any = {"unit": unit, "seconds_per_row": seconds_per_row}
        self._total, self._sparing = total, Sparing(self._line)
        self._task = self._bar.add_task(title, total=total, about=self._about, rejected="")

    def advance(self, rows: int, rejected: int = 0) -> None:
        """So many more rows are done."""
        self._rows += rows
        self._rejected += rejected
        self._bar.update(self._task, advance=rows, rejected=f"{self._rejected} rejected" if self._rejected else "")
        took = time.monotonic() - self._began
        if not self._console.is_terminal and self._rows < self._total and took > QUIET_SECONDS:
            left = duration(took / max(self._rows, 1) * (self._total - self._rows))
            speed = _speed_text(self._rows / took, **self._about)
            self._sparing(f"{self._title}: {self._rows} of {self._total} {self._about['unit']} ({speed}), {left} left")

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def notice(self, text: str) -> None:
        """A line about trouble that the build waits for."""
        self._console.print(f"timbre-data: {text}", highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """The stage is over: leave one line."""
        took = max(time.monotonic() - self._began, 1e-6)
        done = f"{self._rows / 1e6:.1f} MB" if self._about["unit"] == "bytes" else f"{self._rows} {self._about['unit']}"
        self._bar.remove_task(self._task)
        self._console.print(
            f"{self._title}: {done} in {took:.1f} s ({_speed_text(self._rows / took, **self._about)})", highlight=False
        )

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()


@contextmanager
def bar(*, enabled: bool, resume: str | None) -> Iterator[Bar | NoProgress]:
    """A progress bar on stderr; after Ctrl-C and other stops it says which command goes on, where one does."""
    if not enabled:
        yield NoProgress()
        return
    shown = Bar(Console(file=sys.stderr))
    try:
        yield shown
    except InterruptedBuildError as error:
        raise InterruptedBuildError(f"{error} Resume with: {resume}") from None
    except ClusterLostError as error:
        raise ClusterLostError(f"{error} Resume with: {resume}") from None
    except KeyboardInterrupt:
        if resume is None:
            raise AbandonedBuildError("stopped; nothing was written. The same command begins anew.") from None
        raise AbandonedBuildError(f"stopped at once; what was committed is safe. Resume with: {resume}") from None
    finally:
        shown.close()
