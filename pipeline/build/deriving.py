"""Datasets made of rows of others: selected or merged, sounds, labels and features copied with their hashes.

The rows to take over are decided before anything is copied, and stand in the new dataset until it is finished: so a
killed command goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.build.connecting import dask_client
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.provenance import provenance
from timbre_data.pipeline.build.row_copying import Sources, copy_dry, copy_rows, first_dry_sounds, first_rows
from timbre_data.pipeline.build.stage import Job, Report, missing_rows, new_version, restore_tag, run_stage
from timbre_data.pipeline.build.union import Union, union_of
from timbre_data.pipeline.catalogue.files import OwnFolder
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.columns import (
    DRY_GROUP,
    DRY_HASH,
    DRY_INDEX,
    ORIGIN_DATASET,
    ORIGIN_DRY,
    ORIGIN_HASH,
    ORIGIN_ROW,
    ROW_HASH,
    SOURCE_DRY,
    SOURCE_ROW,
)
from timbre_data.pipeline.store.location import Location, locate
from timbre_data.pipeline.store.origins import ORIGINS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.selecting import Selection, select_rows, selection_text
from timbre_data.pipeline.store.writer import Writer, meta, set_meta, translated_errors
from timbre_data.schemas.errors import CorruptDataError, UsageError

DERIVED = "derived"
"""Field of a description: what a dataset was selected or merged from, and how."""


def select(
    source: Dataset,
    selection: Selection,
    location: Location,
    cluster: Cluster,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> Report:
    """Make a dataset of the selected rows of another. The same command again resumes.

    Raises `UsageError` for conditions that are none or that no row fulfils, `CorruptDataError` for an unfinished or
    damaged source.
    """
    _refuse_unfinished(source)
    how = {"how": "select", **asdict(selection)}
    description = f"Selection of {source.recipe.name} {source.version}: {selection_text(asdict(selection))}."
    return _derive([source], [select_rows(source, selection)], how, description, location, cluster, progress, dry_run)


@contextmanager
def selected(data: Dataset, selection: Selection, beside: Path) -> Iterator[Dataset]:
    """The selected rows as a dataset that lies beside a path and lasts as long as the context; `data` itself where
    nothing is selected.
    """
    if selection == Selection(seed=selection.seed):
        yield data
        return
    with translated_errors(str(beside)):
        beside.parent.mkdir(parents=True, exist_ok=True)
        ours = OwnFolder(beside.parent, f"{beside.name}.selection-")
    try:
        location = locate(str(ours.path.absolute() / f"{data.name}-selection"))
        select(data, selection, location, Cluster())
        chosen = Dataset(location.address)
        chosen.made()  # found by the real snapshot, and kept
        chosen.snapshot = str(chosen.digest())[:20]  # as for exports: an export's bytes depend on the content alone
        yield chosen
    finally:
        ours.close()


def merge(
    sources: Sequence[Dataset],
    location: Location,
    cluster: Cluster,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> Report:
    """Make a dataset of all rows of others, one after the other; a row that is in several of them is taken once.

    Raises `UsageError` for datasets that cannot be one: of different formats, or where one parameter has two meanings.
    """
    if len(sources) < 2:
        raise UsageError("merge takes two datasets or more.")
    for data in sources:
        _refuse_unfinished(data)
    known: set[int] = set()
    rows = []
    for data in sources:
        usable = data.usable()
        row_hashes = data.read(ROW_HASH)[usable].tolist()
        rows.append(usable[[value not in known for value in row_hashes]])
        known.update(row_hashes)
    description = f"Merged from {', '.join(f'{data.recipe.name} {data.version}' for data in sources)}."
    return _derive(sources, rows, {"how": "merge"}, description, location, cluster, progress, dry_run)


def _refuse_unfinished(data: Dataset) -> None:
    if not data.complete():
        raise CorruptDataError(
            f"{data.location.address} is not finished ({int(data.present().sum())} of {data.recipe.n} rows): render it to the end first."
        )
    data.left_out = tuple(data.unfinished_features())


@dataclass(frozen=True)
class _Taken:
    """What is taken over: for each new row its source and number there, for each new dry sound one that equals it."""

    source: NDArray[np.int64]
    row: NDArray[np.int64]
    dry_source: NDArray[np.int64]
    dry_row: NDArray[np.int64]
    dry_index: NDArray[np.int32]


def _taken(sources: Sequence[Dataset], rows: Sequence[NDArray[np.int64]]) -> _Taken:
    """Number the rows and the dry sounds that they need; equal dry sounds are stored once."""
    place_of: dict[int, int] = {}
    index: list[NDArray[np.int32]] = []
    dry_source: list[int] = []
    dry_row: list[int] = []
    for number, (data, chosen) in enumerate(zip(sources, rows, strict=True)):
        there, back = np.unique(data.read(DRY_INDEX)[chosen], return_inverse=True)
        dry_hashes = data.read(DRY_HASH)[there.astype(np.int64)].tolist()
        places = np.empty(len(there), np.int32)
        for k, (dry, value) in enumerate(zip(there.tolist(), dry_hashes, strict=True)):
            if value not in place_of:
                place_of[value] = len(dry_row)
                dry_source.append(number)
                dry_row.append(dry)
            places[k] = place_of[value]
        index.append(places[back])
    return _Taken(
        source=np.repeat(np.arange(len(sources)), [len(chosen) for chosen in rows]),
        row=np.concatenate(rows),
        dry_source=np.array(dry_source, np.int64),
        dry_row=np.array(dry_row, np.int64),
        dry_index=np.concatenate(index),
    )


def _derive(
    sources: Sequence[Dataset],
    rows: Sequence[NDArray[np.int64]],
    how: dict[str, Any],
    description: str,
    location: Location,
    cluster: Cluster,
    progress: Progress | None,
    dry_run: bool,
) -> Report:
    count = sum(map(len, rows))
    union = union_of(sources, location.name, count, description)
    how = {**how, "from": [{"name": d.name, "version": d.version, "digest": d.digest()} for d in sources]}
    taken = _taken(sources, rows)
    warnings = (*_leaks(sources, taken), *_left(union, sources, count))
    reason = "selected" if how["how"] == "select" else "merged"
    if dry_run:
        return Report(location.address, count, count, reason, warnings=warnings)
    addresses: Sources = tuple((data.location.address, data.snapshot) for data in sources)
    progress = progress or NoProgress()
    with Writer(location, create=True) as writer:
        restore_tag(writer)
        stored = meta(writer.peek())
        if not stored:
            _create(writer, sources, union, taken, how)
        elif stored.get(DERIVED) != how:
            raise UsageError(
                f"{location.address} exists already and is not this {'selection' if how['how'] == 'select' else 'merge'}: choose another name with --out, or remove it first."
            )
        elif stored["version"]:
            version = str(stored["version"])
            return Report(location.address, 0, count, "finished already", writer.snapshot, version)
        with dask_client(cluster) as client:
            for title, path, function, arguments in (
                ("dry sounds", DRY_HASH, copy_dry, (addresses,)),
                ("rows", ROW_HASH, copy_rows, (addresses, tuple(union.features))),
            ):
                missing = missing_rows(writer, path)
                job = Job(
                    title=f"copying {title}",
                    missing=missing,
                    rows_per_task=cluster.rows_per_task(len(missing)),
                    function=function,
                    arguments=arguments,
                    message=f"{{rows}} {title}",
                )
                run_stage(client, cluster, writer, job, progress, union.recipe.audio.seconds)
        root = writer.root()
        for path in (SOURCE_ROW, SOURCE_DRY):
            del root[path]
        version = new_version(
            writer, f"{count} rows of {', '.join(data.name for data in sources)}", list(union.features)
        )
        return Report(location.address, count, count, reason, writer.snapshot, version, warnings=warnings)


def _leaks(sources: Sequence[Dataset], taken: _Taken) -> list[str]:
    """Warn of dry sounds of one group that the sources put into different splits."""
    if len(sources) < 2 or sources[0].recipe.chain.synth:
        return []
    splits: dict[str, set[int]] = {}
    for number, data in enumerate(sources):
        group = data.read(DRY_GROUP)[data.read(DRY_INDEX)[taken.row[taken.source == number]].astype(np.int64)]
        split = data.split()[taken.row[taken.source == number]]
        for name, value in set(zip(group.tolist(), split.tolist(), strict=True)):
            splits.setdefault(name, set()).add(value)
    count = sum(len(values) > 1 for values in splits.values())
    if not count:
        return []
    return [
        f"{count} of {len(splits)} groups of dry sounds are in more than one split, because the datasets were split differently: a model would be tested on sounds it has learned. Render them with the same source and split.seed"
    ]


def _left(union: Union, sources: Sequence[Dataset], count: int) -> list[str]:
    """Say what does not come along."""
    said = []
    if union.left_features:
        said.append(
            f"features that not all rows have with the same settings are left out: {', '.join(union.left_features)}"
        )
    usable = sum(len(data.usable()) for data in sources)
    if len(sources) > 1 and usable > count:
        said.append(f"{usable - count} rows that are in several of them are taken once")
    return said


def _create(writer: Writer, sources: Sequence[Dataset], union: Union, taken: _Taken, how: dict[str, Any]) -> None:
    root = writer.root()
    rows, sounds = len(taken.row), len(taken.dry_row)
    specs = [
        *union.specs,
        layout.ArraySpec(ORIGIN_DATASET, (), "uint16"),
        layout.ArraySpec(ORIGIN_ROW, (), "int64"),
        layout.ArraySpec(ORIGIN_DRY, (), "int32"),
        layout.ArraySpec(ORIGIN_HASH, (), "uint64"),
        layout.ArraySpec(SOURCE_ROW, (), "int64"),
        layout.ArraySpec(SOURCE_DRY, (), "int64", follows="dry"),
    ]
    for spec in specs:
        layout.create(root, spec, rows if spec.follows == "rows" else sounds, union.recipe.audio.codec)
    tables: dict[str, NDArray[Any]] = {
        SOURCE_ROW: first_rows(sources)[taken.source] + taken.row,
        SOURCE_DRY: first_dry_sounds(sources)[taken.dry_source] + taken.dry_row,
        DRY_INDEX: taken.dry_index,
        ORIGIN_DATASET: np.empty(rows, np.uint16),
        ORIGIN_ROW: np.empty(rows, np.int64),
        ORIGIN_DRY: np.empty(rows, np.int32),
    }
    for number, data in enumerate(sources):
        here = taken.source == number
        chosen = taken.row[here]
        known = data.has(ORIGIN_ROW)
        own = data.read(ORIGIN_DATASET)[chosen].astype(np.int64) if known else np.zeros(len(chosen), np.int64)
        tables[ORIGIN_DATASET][here] = union.origin_numbers[number][own]
        tables[ORIGIN_ROW][here] = data.read(ORIGIN_ROW)[chosen] if known else chosen
        tables[ORIGIN_DRY][here] = data.read(ORIGIN_DRY if known else DRY_INDEX)[chosen]
    for path, values in tables.items():
        array = root[path]
        assert isinstance(array, zarr.Array)
        array[:] = values
    kinds = {origin.kind for origin in union.origins}
    files = [file for origin in union.origins for file in origin.files]
    set_meta(
        root,
        format_version=layout.FORMAT_VERSION,
        kind="imported" if kinds == {"imported"} else "rendered",
        recipe=union.recipe.model_dump(mode="json"),
        families=union.families,
        inventory="",
        provenance=provenance(),
        isolation=sources[0].meta.get("isolation") if union.recipe.chain.synth else None,
        features=union.features,
        version=None,
        extra_labels=union.extra_labels,
        files=[file for k, file in enumerate(files) if file not in files[:k]],
        **{ORIGINS: [origin.model_dump(mode="json") for origin in union.origins], DERIVED: how},
    )
    writer.commit(f"created for {rows} rows of {', '.join(data.name for data in sources)}")
