"""The interface of an exporter's module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


@dataclass(frozen=True)
class Snippet:
    """A few lines of Python that open an export with a tool, in the export's folder."""

    tool: str
    code: str


@dataclass(frozen=True)
class FileSet:
    """Files of an export for its Croissant metadata: a glob pattern and its media type. `columns` are those of the
    tables, by which the labels of `records` are read from them; "" if they have none.
    """

    name: str
    includes: str
    media_type: str
    has_labels: bool = False


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """A hand-over format: `write(data, folder)` fills a new folder with a finished dataset; card, citation, Croissant
    metadata and checksums are added to it. It may return SHA-256 digests of files, by their path, that it knows from
    writing them: the others are read again.

    The bytes depend on the dataset alone. `count_rows(folder)` reads an export back and counts its rows. `splits` is
    the pattern of a split's files for the `datasets` library, with `{split}` in it; empty if it cannot load them.
    """

    summary: str
    write: Callable[[Dataset, Path], dict[str, str] | None]
    count_rows: Callable[[Path], int]
    files: tuple[FileSet, ...] = ()
    snippets: tuple[Snippet, ...] = ()
    splits: str = ""
    front_matter: dict[str, Any] = field(default_factory=dict)
