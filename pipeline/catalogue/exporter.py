"""The interface of an exporter's module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """A hand-over format: `write(data, folder)` fills a new folder with a finished dataset; card and checksums are
    added to it.

    The bytes depend on the dataset alone. `count_rows(folder)` reads an export back and counts its rows.
    """

    summary: str
    write: Callable[[Dataset, Path], None]
    count_rows: Callable[[Path], int]
