"""Shuffled reading for training: random blocks, a buffer that mixes them, one block read ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


def shuffled_batches(
    data: Dataset,
    paths: Sequence[str],
    *,
    batch_size: int,
    rows: NDArray[np.int64],
    seed: int,
    block_rows: int,
    buffer_blocks: int,
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield (row indices, one array per path) in batches; every row of `rows` once, in an order that depends on `seed`
    alone.
    """
    rng = np.random.default_rng(seed)
    wanted = np.zeros(data.n, bool)
    wanted[rows] = True
    blocks = rng.permutation(np.unique(rows // block_rows))

    def fetch(block: int) -> tuple[NDArray[Any], ...]:
        start = int(block) * block_rows
        stop = min(start + block_rows, data.n)
        keep = np.flatnonzero(wanted[start:stop])
        return (start + keep, *(data.read(path, slice(start, stop))[keep] for path in paths))

    with ThreadPoolExecutor(1) as reader:
        groups = [blocks[i : i + buffer_blocks] for i in range(0, len(blocks), buffer_blocks)]
        pending = [reader.submit(fetch, block) for block in groups[0]] if groups else []
        left: tuple[NDArray[Any], ...] | None = None
        for number in range(len(groups)):
            parts = [future.result() for future in pending]
            pending = [reader.submit(fetch, block) for block in groups[number + 1]] if number + 1 < len(groups) else []
            buffer = tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))
            if left is not None:
                buffer = tuple(np.concatenate(pair) for pair in zip(left, buffer, strict=True))
            mixed = rng.permutation(len(buffer[0]))
            last = number + 1 == len(groups)
            usable = len(mixed) if last else len(mixed) // batch_size * batch_size
            for start in range(0, usable, batch_size):
                indices = mixed[start : start + batch_size]
                yield tuple(column[indices] for column in buffer)
            left = tuple(column[mixed[usable:]] for column in buffer)
