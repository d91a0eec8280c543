"""Who receives the progress of a build."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Whoever is told how far a build is."""

    def start(self, title: str, total: int, seconds_per_row: float) -> None:
        """A stage of `total` rows begins."""
        ...

    def advance(self, rows: int, rejected: int = 0) -> None:
        """So many more rows are done."""
        ...

    def stop(self) -> None:
        """The stage is over."""
        ...


class Silent:
    """Progress that nobody sees."""

    def start(self, title: str, total: int, seconds_per_row: float) -> None:
        """Ignore."""

    def advance(self, rows: int, rejected: int = 0) -> None:
        """Ignore."""

    def stop(self) -> None:
        """Ignore."""
