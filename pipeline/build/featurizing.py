"""Features: what a task does with its rows, and the stage that spreads the tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np

from timbre_data.pipeline.build.connecting import dask_client
from timbre_data.pipeline.build.engine import Cluster, Task, TaskResult
from timbre_data.pipeline.build.feature_columns import FeatureColumns
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.build.stage import Job, Report, closing_instruments, new_version, restore_tag, run_stage
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.feature_set import FeatureSet
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.columns import (
    AUDIO,
    AUDIO_CHUNK,
    DRY_INDEX,
    ROW_HASH,
    TABLE_CHUNK,
    feature_hash,
)
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.reader import Dataset, open_if_there
from timbre_data.pipeline.store.task_session import TaskSession
from timbre_data.pipeline.store.writer import Writer, meta, set_meta
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.recipe import Recipe


def featurize_rows(session: bytes, address: str, task: Task, features_json: str, rate: int) -> TaskResult:
    """Compute feature sets of the rows `task.start` to `task.stop` from their stored sounds, and write them."""
    quiet_threads()
    store = TaskSession(session, address)
    features = FeatureColumns(features_json, rate)
    for start, stop in task.audio_chunks():
        rows = slice(start, stop)
        features.add(store, start, store.read(AUDIO, rows), store.read(DRY_INDEX, rows).astype(np.int64))
    features.write(store, task.start)
    return TaskResult(session=store.close(), rows=task.stop - task.start)


def featurize(
    location: Location,
    names: Mapping[str, Mapping[str, Any]],
    cluster: Cluster,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> list[Report]:
    """Compute feature sets (name -> settings) of all rows that lack them.

    Asking again is a no-op; asking with other settings raises `UsageError`, for one name means one thing in a dataset.
    """
    resolved = resolve(names)
    data = Dataset(location.address)
    if not resolved:
        raise UsageError(f"which features? Give --features, one or more of {', '.join(FEATURE_SETS.names())}.")
    if not len(data.usable()):
        raise UsageError(f"{location.address} has no rows yet: render it first.")
    for name, settings in resolved.items():
        _refuse_other_settings(data, name, settings)
    if dry_run:
        return [_dry_run_report(data, name) for name in resolved]
    progress = progress or NoProgress()
    reports = []
    with Writer(location) as writer:
        restore_tag(writer)
        for name, settings in resolved.items():
            reports.append(featurize_missing(writer, name, settings, cluster, progress))
    return reports


def resolve(names: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """All settings of feature sets, of which some were given. Raises `UsageError`."""
    resolved = {}
    for name, changes in names.items():
        features: FeatureSet = FEATURE_SETS.load(name)
        if not isinstance(changes, Mapping):
            raise UsageError(f"--set {name}={changes}: name a field of it, as in --set {name}.FIELD=VALUE.")
        settings = validation.validate(features.settings, dict(changes), f"feature {name}")
        resolved[name.replace("-", "_")] = settings.model_dump(mode="json")
    return resolved


def _dry_run_report(data: Dataset, name: str) -> Report:
    there = int((data.read(feature_hash(name)) != 0).sum()) if name in data.feature_sets() else 0
    left = int(data.present().sum()) - there
    reason = f"{name}: {'nothing to do' if not left else f'{there} rows have it'}"
    return Report(data.location.address, left, data.n, reason, data.snapshot, data.version)


def _refuse_other_settings(data: Dataset, name: str, settings: dict[str, Any]) -> None:
    stored = data.feature_sets().get(name)
    if stored and stored["settings"] != settings:
        before = {key: value for key, value in stored["settings"].items() if settings.get(key) != value}
        raise UsageError(
            f"{data.location.address} holds {name} made with {before}, asked { ({key: settings[key] for key in before}) }: leave that setting, or render another dataset for it."
        )


def refuse_others(location: Location, names: Mapping[str, dict[str, Any]]) -> None:
    """Raise `UsageError` where a dataset, if it is there, holds a feature set with other settings."""
    data = open_if_there(location.address) if names else None
    if data is None:
        return
    for name, settings in names.items():
        _refuse_other_settings(data, name, settings)


def prepare(writer: Writer, names: Mapping[str, dict[str, Any]]) -> None:
    """Make room for feature sets in a dataset that lacks them."""
    for name, settings in names.items():
        _prepare_one(writer, name, settings)


def _prepare_one(writer: Writer, name: str, settings: dict[str, Any]) -> None:
    features: FeatureSet = FEATURE_SETS.load(name)
    recipe = Recipe.model_validate(meta(writer.peek())["recipe"])
    columns = features.columns(recipe.audio.rate, recipe.audio.samples, features.settings.model_validate(settings))
    path = f"{features.group}/{name}"
    if path not in writer.peek():
        attributes = {"names": list(columns.names)} if columns.names else dict(columns.axes)
        chunk = AUDIO_CHUNK if features.group == "spectrograms" else TABLE_CHUNK
        make_room(writer, name, path, settings, columns.shape, attributes, features.dtype, chunk)


def featurize_missing(
    writer: Writer, name: str, settings: dict[str, Any], cluster: Cluster, progress: Progress
) -> Report:
    """Compute one feature set of all rows that lack it."""
    _prepare_one(writer, name, settings)
    rate = Recipe.model_validate(meta(writer.peek())["recipe"]).audio.rate
    return fill_missing(writer, name, featurize_rows, (json.dumps({name: settings}), rate), cluster, progress)


def fill_missing(
    writer: Writer,
    name: str,
    function: Callable[..., TaskResult],
    arguments: tuple[Any, ...],
    cluster: Cluster,
    progress: Progress,
    *,
    plays: bool = False,
) -> Report:
    """Let tasks of a function write the columns `name` of all rows that lack them, and make a version. Where one
    `plays` synths, they are closed however it ends.
    """
    root = writer.peek()
    recipe = Recipe.model_validate(meta(root)["recipe"])
    missing = np.flatnonzero((writer.read(ROW_HASH) != 0) & (writer.read(feature_hash(name)) == 0))
    version = meta(root).get("version")
    if not len(missing):
        reason = "finished already"
        if version and not _in_version(writer, name, version):  # killed before the version was made
            version, reason = new_version(writer, name, [name]), "computed already, its version was missing"
        return Report(writer.location.address, 0, recipe.n, f"{name}: {reason}", writer.snapshot, version)
    job = Job(
        title=name,
        missing=missing,
        rows_per_task=cluster.rows_per_task(len(missing)),
        function=function,
        arguments=arguments,
        message=f"{name}: {{rows}} rows",
    )
    with dask_client(cluster) as client, closing_instruments(client) if plays else nullcontext():
        run_stage(client, cluster, writer, job, progress, recipe.audio.seconds)
    version = (
        new_version(writer, f"{name} of {len(missing)} rows", [name]) if meta(writer.peek()).get("version") else None
    )
    return Report(writer.location.address, len(missing), recipe.n, f"{name}: computed", writer.snapshot, version)


def _in_version(writer: Writer, name: str, version: str) -> bool:
    """Whether a version holds a feature set of all its rows."""
    data = Dataset(f"{writer.location.address}@v{version}")
    return name in data.feature_sets() and name not in data.unfinished_features()


def make_room(
    writer: Writer,
    name: str,
    path: str,
    settings: dict[str, Any],
    shape: tuple[int, ...],
    attributes: dict[str, Any],
    dtype: str,
    chunk: int,
) -> None:
    """Create the arrays of columns that rows will get, and say so in the dataset's description."""
    root = writer.root()
    stored = meta(root)
    length = stored["recipe"]["n"]
    codec = stored["recipe"]["audio"]["codec"]
    axes = (f"{name}_feature",) if len(shape) == 1 else (f"{name}_bin", f"{name}_frame")[: len(shape)]
    layout.create(
        root,
        layout.ArraySpec(path, shape, dtype, chunk, attributes={"settings": settings} | attributes, axes=axes),
        length,
        codec,
    )
    layout.create(root, layout.ArraySpec(feature_hash(name), (), "uint64"), length, codec)
    description = {"path": path, "settings": settings, "shape": list(shape), "dtype": dtype}
    file = FEATURE_SETS.file_of(name) if name in FEATURE_SETS else None
    if file is not None:
        description["file"] = asdict(file)
    set_meta(root, features=stored["features"] | {name: description})
    writer.commit(f"{name}: room for {length} rows")
