"""Rows for PyTorch: a map-style dataset, and a stream of shuffled batches that goes on in the middle of an epoch.

Both work in workers that a `DataLoader` starts in any way. A forked one cannot use the storage library, whose threads
do not survive the fork, so there a small process of its own reads for it (`remote_reading`).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, get_worker_info

from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import AUDIO, AUDIO_CHUNK, DRY_AUDIO, DRY_INDEX, SPLIT, SPLITS, check_split
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

ROW, DRY = "row", "dry"
"""Fields besides arrays: the number of a row, and the dry sound of each row."""
Item = tuple[Any, ...]


class _Reading:
    """Reads fields of a dataset in whatever process this is."""

    def __init__(self, data: Dataset, fields: Sequence[str], stored: bool) -> None:
        self._made_in = os.getpid()
        self._data: Any = data
        self._forked: Any = None
        self._stored = stored
        self.fields = tuple(fields)
        self._paths = {field: _path_of(data, field) for field in fields}
        self.count = data.n

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_forked": None, "_made_in": None}

    @property
    def _reader(self) -> Any:
        if self._made_in is None:  # unpickled: a dataset of this process
            self._made_in = os.getpid()
        if os.getpid() == self._made_in:
            return self._data
        if self._forked is None:
            from timbre_data.pipeline.store.remote_reading import RemoteReader

            self._forked = RemoteReader(self._data.location.address, self._data.snapshot)
        return self._forked

    def read(self, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
        """The values of each field of some rows [shape=(n, ...)], in ascending order."""
        return [self._converted(field, self._values(field, rows)) for field in self.fields]

    def _values(self, field: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        path = self._paths[field]
        if path == ROW:
            return rows
        if path != DRY_AUDIO:
            return np.asarray(self._reader.read(path, rows))
        index = np.asarray(self._reader.read(DRY_INDEX, rows)).astype(np.int64)
        unique, back = np.unique(index, return_inverse=True)
        return np.asarray(self._reader.read(DRY_AUDIO, unique))[back]

    def _converted(self, field: str, values: NDArray[Any]) -> NDArray[Any]:
        if self._stored:
            return values
        if self._paths[field] in (AUDIO, DRY_AUDIO):
            return decode(values)
        return values.astype(np.float32) if values.dtype == np.float16 else values


def _path_of(data: Dataset, field: str) -> str:
    """The array behind a field: a path, or the name of a feature set. Raises `UsageError` for what is not there."""
    if field == ROW:
        return ROW
    path = DRY_AUDIO if field == DRY else data.feature_sets().get(field, {}).get("path", field)
    if not data.has(path) or not hasattr(data.root[path], "shape"):
        names = [ROW, *([DRY] if data.has(DRY_AUDIO) else []), *sorted(data.root.array_keys()), *data.feature_sets()]
        raise UsageError(
            f"{data.name} has no field {field}: choose among {', '.join(names)}, or a path as in its card."
        )
    of_dry_sounds = path.startswith("dry/") and path not in (DRY_AUDIO, DRY_INDEX)
    if of_dry_sounds or (path != DRY_AUDIO and data.array(path).shape[0] != data.n):
        raise UsageError(f"{field} does not have a value for each row of {data.name}.")
    return str(path)


def rows_of(data: Dataset, split: str | None) -> NDArray[np.int64]:
    """The usable rows of a split, or of all. Raises `UsageError` for what is not a split."""
    usable = data.usable()
    if split is None:
        return usable
    check_split(split)
    return usable[data.read(SPLIT)[usable] == SPLITS.index(split)]


class RowDataset(TorchDataset[Item]):
    """A map-style dataset: item k is a tuple of the fields of row `rows[k]`, as tensors (texts as str).

    Rows lie in chunks of 64, and a chunk is decoded for any row of it: in random order a `RowStream` is many times
    faster.
    """

    def __init__(
        self, data: Dataset, fields: Sequence[str], rows: NDArray[np.int64], *, stored_integers: bool = False
    ) -> None:
        self._reading = _Reading(data, fields, stored_integers)
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Several items, each chunk read once; a `DataLoader` asks for its batches like this."""
        for index in indices:
            if not -len(self.rows) <= index < len(self.rows):
                raise IndexError(f"row {index} of {len(self.rows)}")
        rows, back = np.unique(self.rows[np.asarray(indices, np.int64)], return_inverse=True)
        columns = [_tensors(values) for values in self._reading.read(rows)]
        return [tuple(column[k] for column in columns) for k in back.tolist()]


class RowStream(IterableDataset[Item]):
    """Shuffled batches, each a tuple of the fields as tensors [shape=(batch_size, ...)]; give it to a `DataLoader` with
    `batch_size=None`.

    Blocks of rows come in random order and are mixed in a buffer, so that every chunk is decoded once for each worker.
    The batches of an epoch depend on `seed` and `epoch` alone, not on the number of workers. `state_dict` and
    `load_state_dict` go on in the middle of an epoch: give {"epoch": 3, "batch": 120} for a plain `DataLoader`;
    torchdata's `StatefulDataLoader` keeps the state itself.
    """

    def __init__(
        self,
        data: Dataset,
        fields: Sequence[str],
        rows: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int = 0,
        epoch: int = 0,
        stored_integers: bool = False,
        drop_last: bool = False,
        buffer_blocks: int = 16,
    ) -> None:
        if batch_size < 1 or buffer_blocks < 1:
            raise UsageError("batch_size and buffer_blocks must be at least 1.")
        self._reading = _Reading(data, fields, stored_integers)
        self.rows = rows
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.drop_last, self.buffer_blocks = drop_last, buffer_blocks
        self._next, self._worker_next = 0, -1

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        whole, rest = divmod(len(self.rows), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Begin another epoch, in another order."""
        self.epoch, self._next, self._worker_next = epoch, 0, -1

    def state_dict(self) -> dict[str, int]:
        """Where the stream is: the epoch and the next batch (in a worker, its own next one)."""
        if self._worker_next >= 0:
            return {"epoch": self.epoch, "worker_batch": self._worker_next}
        return {"epoch": self.epoch, "batch": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a state."""
        self.epoch = state["epoch"]
        self._next, self._worker_next = state.get("batch", 0), state.get("worker_batch", -1)

    def __iter__(self) -> Iterator[Item]:
        info = get_worker_info()
        number, workers = (info.id, info.num_workers) if info else (0, 1)
        first = self._worker_next if self._worker_next >= 0 else self._next + number
        batches = self._batches()
        cache = _BlockCache(self._reading, 2 * self.buffer_blocks)
        for index in range(first, len(batches), workers):
            if info:
                self._worker_next = index + workers
            else:
                self._next = index + 1
            yield cache.batch(batches[index])
        self._next, self._worker_next = 0, -1

    def _batches(self) -> list[NDArray[np.int64]]:
        """The rows of every batch of this epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        block_of = self.rows // AUDIO_CHUNK
        blocks = rng.permutation(np.unique(block_of))
        order: list[NDArray[np.int64]] = []
        for start in range(0, len(blocks), self.buffer_blocks):
            buffered = self.rows[np.isin(block_of, blocks[start : start + self.buffer_blocks])]
            order.append(rng.permutation(buffered))
        joined = np.concatenate(order) if order else self.rows
        return [joined[k * self.batch_size : (k + 1) * self.batch_size] for k in range(len(self))]


class _BlockCache:
    """The last blocks of rows that were read, decoded."""

    def __init__(self, reading: _Reading, most: int) -> None:
        self._reading, self._most = reading, most
        self._blocks: OrderedDict[int, list[NDArray[Any]]] = OrderedDict()

    def batch(self, rows: NDArray[np.int64]) -> Item:
        """The fields of some rows, in their order."""
        blocks = rows // AUDIO_CHUNK
        columns: list[Any] = [None] * len(self._reading.fields)
        for block in np.unique(blocks).tolist():
            here = np.flatnonzero(blocks == block)
            for k, values in enumerate(self._block(block)):
                if columns[k] is None:
                    columns[k] = np.empty((len(rows), *values.shape[1:]), values.dtype)
                columns[k][here] = values[rows[here] - block * AUDIO_CHUNK]
        return tuple(_tensors(column) for column in columns)

    def _block(self, block: int) -> list[NDArray[Any]]:
        if block not in self._blocks:
            stop = min((block + 1) * AUDIO_CHUNK, self._reading.count)
            self._blocks[block] = self._reading.read(np.arange(block * AUDIO_CHUNK, stop))
            while len(self._blocks) > self._most:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(block)
        return self._blocks[block]


def _tensors(values: NDArray[Any]) -> Any:
    """A column as a tensor; texts as a list."""
    if values.dtype.kind in "OTU":
        return [str(value) for value in values.tolist()]
    if values.dtype.kind == "u" and values.dtype.itemsize > 1:  # which torch hardly computes with
        values = values.astype(np.int64)
    return torch.from_numpy(np.ascontiguousarray(values))
