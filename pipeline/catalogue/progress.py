"""The interface for build progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives build progress."""

    def start(self, title: str, total: int, seconds_per_row: float, unit: str = "rows") -> None:
        """Called when a stage of `total` rows (or bytes, by `unit`) starts; `seconds_per_row` is the duration of a
        sound.
        """
        ...

    def advance(self, rows: int, rejected: int = 0) -> None:
        """Called when `rows` more rows are finished, of which draws were `rejected`."""
        ...

    def notice(self, text: str) -> None:
        """Called with a line about trouble that the build waits for."""
        ...

    def stop(self) -> None:
        """Called when the stage has finished."""
        ...


class NoProgress:
    """Ignores build progress."""

    def start(self, title: str, total: int, seconds_per_row: float, unit: str = "rows") -> None:
        """Ignore."""

    def advance(self, rows: int, rejected: int = 0) -> None:
        """Ignore."""

    def notice(self, text: str) -> None:
        """Ignore."""

    def stop(self) -> None:
        """Ignore."""
