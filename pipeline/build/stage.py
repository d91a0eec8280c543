"""What the stages that write datasets share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.store.writer import Writer, set_meta
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments


@dataclass(frozen=True)
class Report:
    """What a stage did, or (dry run) would do."""

    dataset: str
    rows: int
    total: int
    reason: str
    snapshot: str | None = None
    version: str | None = None
    rejected: int = 0
    failed: tuple[str, ...] = field(default=())
    estimated_bytes: int = 0


@contextmanager
def closing_instruments(client: Any) -> Iterator[None]:
    """Close the synths that workers opened, also those in other processes, however the build ends."""
    try:
        yield
    finally:
        close_instruments()
        with suppress(Exception):  # workers that are gone have closed theirs
            client.run(close_instruments)


def _missing(writer: Writer, path: str, count: int) -> NDArray[np.int64]:
    stored = writer.peek()[path]
    assert isinstance(stored, zarr.Array)
    return np.flatnonzero(np.asarray(stored[:count]) == 0)


def new_version(writer: Writer, what: str) -> str:
    """Number and tag the finished state: 1.0.0 at first, MINOR + 1 when rows or features came to it."""
    root = writer.root()
    numbers = [tuple(map(int, tag[1:].split("."))) for tag in writer.tags if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
    major, minor, _ = max(numbers, default=(1, -1, 0))
    version = f"{major}.{minor + 1}.0"
    set_meta(root, version=version)
    writer.commit(f"version {version}: {what}", version=version)
    writer.tag(f"v{version}")
    return version
