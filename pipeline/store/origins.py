"""Where the rows of a selected or merged dataset come from, and the hashes that they keep.

Such a dataset lists the datasets of its rows (`origins`, with their recipes), and says of each row in which of them it
is, under which number. A row keeps its hash: computed over the columns, steps, tags and number of the dry sound that it
has there. What is told otherwise here (columns of other effects, the number of the dry sound) has a hash of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.store.columns import (
    DRY_INDEX,
    IDENTIFIABLE,
    MASK,
    ORDER,
    ORIGIN_DATASET,
    ORIGIN_DRY,
    ORIGIN_ROW,
    PARAMS,
    ROW_ARRAYS,
    TAGS,
)
from timbre_data.pipeline.store.task_session import Columns, hashes
from timbre_data.pipeline.store.writer import meta
from timbre_data.schemas.errors import CorruptDataError
from timbre_data.schemas.origin import Origin

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

ORIGINS = "origins"
"""Field of a description: the datasets that rows come from; not there where a dataset was rendered or imported."""
_BY_PARAMETER = (PARAMS, MASK, IDENTIFIABLE)
NAMED = {**dict.fromkeys(_BY_PARAMETER, "names"), ORDER: "steps", TAGS: "names"}
"""The arrays whose columns have names, and the attribute that lists them."""


def origins_of(data: Dataset) -> list[Origin]:
    """The datasets that the rows of a dataset come from; of one that was rendered or imported, itself."""
    return [Origin.model_validate(one) for one in data.meta.get(ORIGINS, ())] or [_itself(data)]


def _itself(data: Dataset) -> Origin:
    return Origin(
        name=data.name,
        version=data.version,
        digest=data.digest(),
        kind=data.meta["kind"],
        recipe=data.recipe,
        inventory=data.meta.get("inventory"),
        isolation=data.meta.get("isolation"),
        provenance=data.meta["provenance"],
        files=tuple(data.meta.get("files", ())),
        parameters=data.space.names,
        steps=tuple(data.names(ORDER, "steps")),
        extra_labels=tuple(data.meta.get("extra_labels", ())),
        tags=tuple(data.names(TAGS)) if data.has(TAGS) else (),
    )


def origin_rows(data: Dataset) -> list[dict[str, Any]]:
    """Name, version and digest of each dataset that rows come from, and how many."""
    numbers = data.read(ORIGIN_DATASET) if data.has(ORIGIN_DATASET) else np.zeros(data.n, np.uint16)
    return [
        origin.model_dump(include={"name", "version", "digest"}) | {"rows": int((numbers == k).sum())}
        for k, origin in enumerate(origins_of(data))
    ]


def origin_arrays(extra_labels: Sequence[str]) -> tuple[str, ...]:
    """The arrays that `integrity/origin` hashes."""
    return (*_BY_PARAMETER, ORDER, DRY_INDEX, *extra_labels, ORIGIN_DATASET, ORIGIN_ROW, ORIGIN_DRY)


def places(names: Sequence[str], among: Sequence[str]) -> NDArray[np.int64]:
    """The place of each name in a list. Raises `CorruptDataError` where one is not in it."""
    if lost := set(names) - set(among):
        raise CorruptDataError(f"its origins have columns that it has not ({', '.join(sorted(lost))[:120]}).")
    return np.array([list(among).index(name) for name in names], np.int64)


def are_all(columns: NDArray[np.int64], width: int) -> bool:
    """Whether some columns of a table of that width are all of them, in order."""
    return len(columns) == width and bool((np.diff(columns) == 1).all())


@dataclass(frozen=True)
class _View:
    """The rows of one origin as they are there: its own columns, in its order."""

    paths: tuple[str, ...]
    columns: dict[str, NDArray[np.int64]]

    def of(self, table: Columns, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        every = len(rows) == len(table[DRY_INDEX])
        shown = {path: table[path] if every else table[path][rows] for path in (*self.paths, ORIGIN_DRY)}
        for path, chosen in self.columns.items():
            if not are_all(chosen, shown[path].shape[1]):
                shown[path] = shown[path][:, chosen]
        shown[DRY_INDEX] = shown[ORIGIN_DRY].astype(np.int32)
        return shown


class RowHashes:
    """Computes the hashes of rows, given the arrays `paths` of them: as they are, or as they were in their origins."""

    def __init__(self, root: zarr.Group) -> None:
        about = meta(root)
        self.paths: tuple[str, ...] = (*ROW_ARRAYS, *about.get("extra_labels", ()))
        self._views: list[_View] = []
        if not about.get(ORIGINS):
            return
        self.paths = (*self.paths, ORIGIN_DATASET, ORIGIN_DRY)
        here: dict[str, Any] = {path: root[path].attrs[key] for path, key in NAMED.items() if path in root}
        for origin in map(Origin.model_validate, about[ORIGINS]):
            parameters = places(origin.parameters, here[PARAMS])
            columns = dict.fromkeys(_BY_PARAMETER, parameters) | {ORDER: places(origin.steps, here[ORDER])}
            if TAGS in origin.extra_labels:
                columns[TAGS] = places(origin.tags, here[TAGS])
            self._views.append(_View((*ROW_ARRAYS, *origin.extra_labels), columns))

    def __call__(self, columns: Columns) -> NDArray[np.uint64]:
        """The hash of each row [shape=(n,)]; 0 where its origin is none of the list."""
        if not self._views:
            return hashes(columns, self.paths)
        found = np.zeros(len(columns[DRY_INDEX]), np.uint64)
        for number, view in enumerate(self._views):
            rows = np.flatnonzero(columns[ORIGIN_DATASET] == number)
            if len(rows):
                found[rows] = hashes(view.of(columns, rows), view.paths)
        return found
