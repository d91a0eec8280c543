"""Writing of a task: whole rows into its own session, each with a hash of everything in the row."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import xxhash
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import cpu
from zarr.storage import StorePath

from timbre_data.pipeline.store.chunks import blosc_of, chunk_key, encoded, read_array
from timbre_data.pipeline.store.repository import guard_against_fork
from timbre_data.pipeline.store.writer import translated_errors


class _Encoded(cpu.Buffer):
    """Bytes on their way to the store, which asks for them as bytes: no copy in between."""

    def __init__(self, value: bytes) -> None:
        super().__init__(np.frombuffer(value, "u1"))
        self._value = value

    def to_bytes(self) -> bytes:
        return self._value


WRITES_UNDER_WAY = 2
"""Calls of `write` that a task does not wait for."""
SMALL_BYTES = 4096
"""Columns with rows up to this size are packed before they are hashed."""

Columns = Mapping[str, NDArray[Any]]


@lru_cache(maxsize=8)
def _described(address: str, snapshot: str) -> dict[str, Any]:
    """The metadata of the arrays of a commit, by path, as far as tasks of this process have read it: tasks do not
    change it.
    """
    return {}


class TaskSession:
    """A worker's end of the store: write chunks, then give `close()` back to the writer."""

    def __init__(self, session: bytes, address: str) -> None:
        guard_against_fork()
        self._session = pickle.loads(session)
        self._address = address
        self.root = zarr.open_group(self._session.store, mode="r+")
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._background = ThreadPoolExecutor(WRITES_UNDER_WAY)
        self._writing: deque[Future[None]] = deque()
        self._parts_of_chunks = threading.Lock()

    def array(self, path: str) -> zarr.Array[Any]:
        """One array by path."""
        if path not in self._arrays:
            known = _described(self._address, self._session.snapshot_id)
            if path not in known:
                node = self.root[path]
                assert isinstance(node, zarr.Array)
                known[path] = node.metadata
            place = StorePath(self._session.store, path)
            self._arrays[path] = zarr.Array(zarr.AsyncArray(metadata=known[path], store_path=place))
        return self._arrays[path]

    def read(self, path: str, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Rows of one array. Raises `CorruptDataError`."""
        return read_array(self.array(path), rows, self._address)

    def write(self, start: int, columns: Columns) -> None:
        """Write rows `start` onwards of some arrays, in the background, while the next rows are made.

        Zarr encodes on one thread for the whole process, where workers wait for each other; chunks that are covered
        whole are encoded in threads of the task's own instead, and one chunk while the one before is on its way to the
        disk. The values must not change any more.
        """
        self._wait(WRITES_UNDER_WAY - 1)
        self._writing.append(self._background.submit(self._write, start, dict(columns)))

    def _write(self, start: int, columns: Columns) -> None:
        chunks: list[tuple[str, bytes]] = []
        with translated_errors(self._address):
            for path, values in columns.items():
                array = self.array(path)
                size, stop = array.chunks[0], start + len(values)
                whole = values.dtype.kind not in "OTU" and blosc_of(array) is not None
                first, last = (-(-start // size), stop // size) if whole else (0, 0)
                if first >= last:
                    with self._parts_of_chunks:
                        array[start:stop] = values
                    continue
                for number in range(first, last):
                    offset = number * size - start
                    chunks.append((chunk_key(array, number), encoded(array, values[offset : offset + size])))
                for begin, end in ((start, first * size), (last * size, stop)):  # the parts of chunks at both ends
                    if begin < end:
                        with self._parts_of_chunks:
                            array[begin:end] = values[begin - start : end - start]
            asyncio.run(self._set(chunks))

    async def _set(self, chunks: Sequence[tuple[str, bytes]]) -> None:
        await asyncio.gather(*(self._session.store.set(key, _Encoded(value)) for key, value in chunks))

    def _wait(self, left: int = 0) -> None:
        while len(self._writing) > left:
            self._writing.popleft().result()

    def close(self) -> bytes:
        """Wait for what is still being written, and return the session for merging."""
        self._wait()
        self._background.shutdown()
        return pickle.dumps(self._session)


def hashes(columns: Columns, order: Sequence[str]) -> NDArray[np.uint64]:
    """Content hash of each row over the named columns [shape=(n,)]; never 0, which means "not there". Large numbers
    first, then small ones, then texts.
    """
    parts = [columns[path] for path in order]
    count = len(parts[0])
    large = [part for part in parts if part.dtype.kind not in "OTU" and part[:1].nbytes > SMALL_BYTES]
    small = [part for part in parts if part.dtype.kind not in "OTU" and part[:1].nbytes <= SMALL_BYTES]
    texts = [part for part in parts if part.dtype.kind in "OTU"]
    packed = (
        np.concatenate([np.ascontiguousarray(part).view(np.uint8).reshape(count, -1) for part in small], axis=1)
        if small
        else None
    )
    result = np.empty(count, np.uint64)
    for row in range(count):
        digest = xxhash.xxh3_64()
        for part in large:
            digest.update(np.ascontiguousarray(part[row]).data)
        if packed is not None:
            digest.update(packed[row].data)
        for part in texts:
            digest.update(str(part[row]).encode() + b"\0")
        result[row] = digest.intdigest() or 1
    return result
