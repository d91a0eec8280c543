"""What a task writes: whole rows into its own session, each with a hash of everything that row holds."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.store.repository import guard_against_fork
from timbre_data.pipeline.store.writer import translated_errors

ROW_ARRAYS = (
    "audio",
    "params",
    "labels/mask",
    "labels/identifiable",
    "labels/order",
    "labels/effect_db",
    "split",
    "attempt",
    "gain",
    "failed",
    "dry/index",
)
DRY_ARRAYS = ("dry/audio", "dry/identity", "dry/group", "dry/note", "dry/velocity", "dry/f0_hz", "dry/gain")

Columns = Mapping[str, NDArray[Any]]


class TaskSession:
    """A worker's end of the store: write chunks, then give `close()` back to the writer."""

    def __init__(self, session: bytes, address: str) -> None:
        guard_against_fork()
        self._session = pickle.loads(session)
        self._address = address
        self.root = zarr.open_group(self._session.store, mode="r+")

    def array(self, path: str) -> zarr.Array[Any]:
        """One array by path."""
        found = self.root[path]
        assert isinstance(found, zarr.Array)
        return found

    def write(self, path: str, start: int, values: NDArray[Any]) -> None:
        """Write rows `start` onwards of one array."""
        with translated_errors(self._address):
            self.array(path)[start : start + len(values)] = values

    def close(self) -> bytes:
        """Return the session for merging."""
        return pickle.dumps(self._session)


def hashes(columns: Columns, order: Sequence[str]) -> NDArray[np.uint64]:
    """Content hash of each row over the named columns [shape=(n,)]; never 0, which means "not there"."""
    parts = [columns[path] for path in order]
    result = np.empty(len(parts[0]), np.uint64)
    for row in range(len(result)):
        digest = xxhash.xxh3_64()
        for part in parts:
            value = part[row]
            digest.update(str(value).encode() + b"\0" if part.dtype.kind in "OTU" else np.ascontiguousarray(value).data)
        result[row] = digest.intdigest() or 1
    return result
