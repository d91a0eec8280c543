"""Chunks of numbers, encoded and decoded in the thread that asks.

Zarr encodes and decodes on one thread for the whole process, where workers wait for each other, and copies what it
decoded. The codecs that `layout` gives every numeric array (little-endian, Blosc, crc32c) are applied here instead;
keys and bytes are those of Zarr. Any other array is left to Zarr.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import google_crc32c
import icechunk
import numpy as np
import zarr
from numcodecs import Blosc
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.metadata import ArrayV3Metadata
from zarr.core.sync import sync

from timbre_data.pipeline.store.repository import first_line
from timbre_data.schemas.errors import CorruptDataError

CHECKSUM = 4
"""Bytes of the checksum at the end of a chunk."""


def blosc_of(array: zarr.Array[Any]) -> Blosc | None:
    """The compressor of an array whose chunks hold whole rows in the codecs of `layout`; None for any other."""
    metadata = array.metadata
    if not isinstance(metadata, ArrayV3Metadata) or array.dtype.kind in "OTU" or not array.ndim:
        return None
    whole = array.chunks[1:] == tuple(max(size, 1) for size in array.shape[1:])
    if not whole or len(metadata.codecs) != 3 or 0 in array.shape[1:]:
        return None
    endian, blosc, checksum = metadata.codecs
    if not (isinstance(endian, BytesCodec) and isinstance(blosc, BloscCodec) and isinstance(checksum, Crc32cCodec)):
        return None
    shuffle = Blosc.SHUFFLE if blosc.shuffle.value == "shuffle" else Blosc.NOSHUFFLE
    return Blosc(blosc.cname.value, blosc.clevel, shuffle, blosc.blocksize)


def encoded(array: zarr.Array[Any], values: NDArray[Any]) -> bytes:
    """The bytes of one whole chunk of an array that `blosc_of` knows."""
    blosc = blosc_of(array)
    assert blosc is not None
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    packed = bytes(blosc.encode(little))
    return packed + google_crc32c.value(packed).to_bytes(CHECKSUM, "little")


def is_whole(chunk: bytes) -> bool:
    """Whether the bytes of a chunk match the checksum that they end with."""
    return google_crc32c.value(chunk[:-CHECKSUM]).to_bytes(CHECKSUM, "little") == chunk[-CHECKSUM:]


def chunk_key(array: zarr.Array[Any], number: int) -> str:
    """The key of a chunk of whole rows in its store."""
    assert isinstance(array.metadata, ArrayV3Metadata)
    key = array.metadata.encode_chunk_key((number, *(0 for _ in array.chunks[1:])))
    return f"{array.store_path.path}/{key}".lstrip("/")


def read_array(array: zarr.Array[Any], rows: slice | NDArray[np.int64] | int, address: str) -> NDArray[Any]:
    """Rows of an array of the dataset at an address. Raises `CorruptDataError` naming array and rows where a checksum
    does not match, or an object is lost.
    """
    try:
        blosc = blosc_of(array)
        if blosc is not None and not isinstance(rows, int):
            return read_rows(array, blosc, rows)
        if isinstance(rows, np.ndarray):
            return np.asarray(array.oindex[rows] if len(rows) else array[:0])
        return np.asarray(array[rows])
    except (icechunk.IcechunkError, OSError, ValueError, RuntimeError, zarr.errors.BaseZarrError) as error:
        shown = rows if not isinstance(rows, slice) else f"{rows.start or 0} to {rows.stop or array.shape[0]}"
        raise CorruptDataError(
            f"{address}: {array.path}, rows {shown}, is damaged or missing ({first_line(error)}). See timbre-data dataset verify {address}."
        ) from None


def read_rows(array: zarr.Array[Any], blosc: Blosc, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
    """Rows of an array, each of its chunks decoded once. Raises `ValueError` for a chunk that is damaged."""
    size = array.chunks[0]
    if not isinstance(rows, slice) and _are_neighbours(rows, array.shape[0]):
        rows = slice(int(rows[0]), int(rows[-1]) + 1)  # whole chunks are decoded into their places
    if isinstance(rows, slice):
        start, stop, _ = rows.indices(array.shape[0])
        numbers = range(start // size, -(-stop // size)) if start < stop else range(0)
        out = np.empty((max(stop - start, 0), *array.shape[1:]), array.dtype)
    else:
        rows = np.where(rows < 0, rows + array.shape[0], rows)
        if len(rows) and not (rows.min() >= 0 and rows.max() < array.shape[0]):
            raise IndexError(f"row {rows.max()} of {array.shape[0]}")
        numbers = np.unique(rows // size).tolist()
        out = np.empty((len(rows), *array.shape[1:]), array.dtype)
    for number, chunk in zip(numbers, _fetched(array, numbers), strict=True):
        first = number * size
        if isinstance(rows, slice):
            begin, end = max(start, first), min(stop, first + size)
            part = out[begin - start : end - start]
            if end - begin == size and chunk is not None:  # whole: decoded into its place
                _decode(blosc, chunk, part)
                continue
            part[:] = _decoded(array, blosc, chunk)[begin - first : end - first]
        else:
            here = rows // size == number
            out[here] = _decoded(array, blosc, chunk)[rows[here] - first]
    return out


def _are_neighbours(rows: NDArray[np.int64], count: int) -> bool:
    return len(rows) > 0 and bool(0 <= rows[0] <= rows[-1] < count and (np.diff(rows) == 1).all())


def _fetched(array: zarr.Array[Any], numbers: Any) -> list[Any]:
    keys = [chunk_key(array, number) for number in numbers]

    async def fetch() -> list[Any]:
        return list(await asyncio.gather(*(array.store.get(key, default_buffer_prototype()) for key in keys)))

    if not keys:
        return []
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _LOOPS.mine().run_until_complete(fetch())
    return sync(fetch())  # in a notebook, this thread is busy with a loop of its own


class _Loop:
    """An event loop that is closed with the thread it belongs to."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def __del__(self) -> None:
        self.loop.close()


class _Loops(threading.local):
    """An event loop for each thread: Zarr's own is one for all, and every answer of it wakes two threads in turn."""

    _own: _Loop | None = None

    def mine(self) -> asyncio.AbstractEventLoop:
        """The loop of the thread that asks."""
        if self._own is None:
            self._own = _Loop()
        return self._own.loop


_LOOPS = _Loops()


def _decoded(array: zarr.Array[Any], blosc: Blosc, chunk: Any) -> NDArray[Any]:
    shape = (array.chunks[0], *array.shape[1:])
    if chunk is None:
        return np.full(shape, array.fill_value, array.dtype)
    out = np.empty(shape, array.dtype)
    _decode(blosc, chunk, out)
    return out


def _decode(blosc: Blosc, chunk: Any, out: NDArray[Any]) -> None:
    content = chunk.to_bytes()
    if len(content) <= CHECKSUM or not is_whole(content):
        raise ValueError("stored and computed checksum do not match")
    blosc.decode(memoryview(content)[:-CHECKSUM], out=out)
