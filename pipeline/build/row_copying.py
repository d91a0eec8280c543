"""Tasks that copy dry sounds and rows of other datasets, each compared with the hash that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.engine import Task, TaskResult
from timbre_data.pipeline.catalogue.threads import share_cores
from timbre_data.pipeline.store.columns import (
    AUDIO,
    DRY_HASH,
    DRY_INDEX,
    FRAMES,
    ORDER,
    ORIGIN_DATASET,
    ORIGIN_DRY,
    ORIGIN_HASH,
    ORIGIN_ROW,
    ROW_HASH,
    SOURCE_DRY,
    SOURCE_ROW,
    TABLE_CHUNK,
    VARIATION,
    dry_arrays,
    feature_hash,
)
from timbre_data.pipeline.store.origins import NAMED, RowHashes, are_all, origin_arrays, places
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.task_session import TaskSession, hashes
from timbre_data.pipeline.store.writer import meta
from timbre_data.schemas.errors import CorruptDataError

UNUSED = {ORDER: -1, FRAMES: -1, VARIATION: float("nan")}
"""What stands where a row has no value; 0 or an empty text elsewhere."""

Sources = tuple[tuple[str, str], ...]
"""Addresses and snapshots of the datasets that rows are taken from."""


@lru_cache(maxsize=16)
def _opened(address: str, snapshot: str) -> Dataset:
    return Dataset(address, snapshot)


def _blocks(task: Task) -> list[tuple[int, int]]:
    """Start and end of the parts of a task that are copied at once."""
    edges = sorted({task.start, task.stop, *range(-(-task.start // TABLE_CHUNK) * TABLE_CHUNK, task.stop, TABLE_CHUNK)})
    return list(pairwise(edges))


def first_rows(sources: Sequence[Dataset]) -> NDArray[np.int64]:
    """The number of the first row of each source, where their rows are numbered through."""
    return np.cumsum([0, *(data.n for data in sources)])[:-1]


def first_dry_sounds(sources: Sequence[Dataset]) -> NDArray[np.int64]:
    """The same of dry sounds."""
    return np.cumsum([0, *(int(data.array(DRY_HASH).shape[0]) for data in sources)])[:-1]


def _gathered(
    store: TaskSession, sources: Sequence[Dataset], firsts: NDArray[np.int64], numbers: NDArray[np.int64], path: str
) -> NDArray[Any]:
    """Rows of one array, numbered through all sources, with the columns of the new dataset [shape=(n, ...)]."""
    target = store.array(path)
    text = target.dtype.kind in "OTU"

    def unused() -> NDArray[Any]:
        fill: Any = "" if text else UNUSED.get(path, 0)
        return np.full((len(numbers), *target.shape[1:]), fill, object if text else target.dtype)

    out: NDArray[Any] | None = None
    which = np.searchsorted(firsts, numbers, side="right") - 1
    for number in np.unique(which).tolist():
        data, here = sources[number], which == number
        if not data.has(path):
            continue
        values = data.read(path, numbers[here] - firsts[number])
        names = target.attrs[NAMED[path]] if path in NAMED else None
        columns = None if names is None else places(data.names(path, NAMED[path]), names)  # type: ignore[arg-type]  # a list
        if columns is None or are_all(columns, target.shape[1]):
            if here.all():
                return values.astype(object) if text else values
            columns = None
        out = unused() if out is None else out
        out[here if columns is None else np.ix_(here, columns)] = values
    return unused() if out is None else out


def _refuse_damage(
    sources: Sequence[Dataset],
    firsts: NDArray[np.int64],
    numbers: NDArray[np.int64],
    same: NDArray[np.bool_],
    what: str,
) -> None:
    """Raise `CorruptDataError` where something is not what its hash says."""
    if same.all():
        return
    number = int(numbers[~same][0])
    which = int(np.searchsorted(firsts, number, side="right")) - 1
    raise CorruptDataError(
        f"{sources[which].location.address}: {what} {number - int(firsts[which])} is damaged. See timbre-data dataset verify {sources[which].name}."
    )


def copy_dry(session: bytes, address: str, task: Task, addresses: Sources) -> TaskResult:
    """Copy the dry sounds `task.start` to `task.stop`, each compared with its hash."""
    share_cores()
    store = TaskSession(session, address)
    sources = [_opened(*one) for one in addresses]
    firsts = first_dry_sounds(sources)
    paths = dry_arrays(sources[0].recipe)
    for start, stop in _blocks(task):
        numbers = store.read(SOURCE_DRY, slice(start, stop))
        columns = {path: _gathered(store, sources, firsts, numbers, path) for path in (*paths, DRY_HASH)}
        _refuse_damage(sources, firsts, numbers, hashes(columns, paths) == columns[DRY_HASH], "dry sound")
        store.write(start, columns)
    return TaskResult(session=store.close(), rows=task.stop - task.start)


def copy_rows(session: bytes, address: str, task: Task, addresses: Sources, features: tuple[str, ...]) -> TaskResult:
    """Copy the rows `task.start` to `task.stop`, each compared with the hash that it keeps, and their features."""
    share_cores()
    store = TaskSession(session, address)
    sources = [_opened(*one) for one in addresses]
    firsts = first_rows(sources)
    row_hashes = RowHashes(store.root)
    about = meta(store.root)
    here = (ORIGIN_DATASET, ORIGIN_ROW, ORIGIN_DRY, DRY_INDEX)
    checked = origin_arrays(about["extra_labels"])
    sets = {name: about["features"][name]["path"] for name in features}
    tables: list[dict[str, NDArray[Any]]] = []
    for start, stop in _blocks(task):
        numbers = store.read(SOURCE_ROW, slice(start, stop))
        columns = {path: store.read(path, slice(start, stop)) for path in here}
        wanted = (*(path for path in row_hashes.paths if path not in here), ROW_HASH)
        columns |= {path: _gathered(store, sources, firsts, numbers, path) for path in wanted}
        _refuse_damage(sources, firsts, numbers, row_hashes(columns) == columns[ROW_HASH], "row")
        columns[ORIGIN_HASH] = hashes(columns, checked)
        large = {AUDIO: columns.pop(AUDIO)}
        for name, path in sets.items():
            values, stored = (_gathered(store, sources, firsts, numbers, one) for one in (path, feature_hash(name)))
            same = hashes({path: values}, (path,)) == stored
            _refuse_damage(sources, firsts, numbers, same, f"the feature set {name} of row")
            columns[feature_hash(name)] = stored
            large[path] = values
        store.write(start, large)
        tables.append({path: values for path, values in columns.items() if path not in here})
    store.write(task.start, {path: np.concatenate([table[path] for table in tables]) for path in tables[0]})
    return TaskResult(session=store.close(), rows=task.stop - task.start)
