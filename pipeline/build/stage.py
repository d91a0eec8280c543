"""The skeleton of the stages that write datasets, their report, and versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.engine import Cluster, TaskResult, run, tasks_for
from timbre_data.pipeline.build.provenance import author
from timbre_data.pipeline.build.watching import within
from timbre_data.pipeline.catalogue.progress import Progress
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.columns import DRY_HASH, ROW_HASH, feature_hash
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.origins import ORIGINS
from timbre_data.pipeline.store.writer import Writer, meta, set_meta
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.schemas.errors import BuildError, ClusterLostError, UsageError
from timbre_data.schemas.recipe import Recipe

if TYPE_CHECKING:
    from timbre_data.pipeline.build.estimating import Estimate


@dataclass(frozen=True)
class Report:
    """The report of a stage, or of a dry run."""

    dataset: str
    rows: int
    total: int
    reason: str
    snapshot: str | None = None
    version: str | None = None
    rejected: int = 0
    failed: tuple[str, ...] = field(default=())
    estimated_bytes: int = 0
    estimate: Estimate | None = None
    warnings: tuple[str, ...] = ()


@contextmanager
def closing_instruments(client: Any) -> Iterator[None]:
    """Close the synths that workers opened, also those in other processes, however the build ends."""
    seconds = 20.0
    try:
        yield
    except ClusterLostError:
        seconds = 1.0  # it was waited for: whoever is still there has heard in that time
        raise
    finally:
        close_instruments()
        within(seconds, partial(client.run, close_instruments))  # workers that are gone have closed theirs


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work of one stage: `function` on the `missing` rows, in tasks of `rows_per_task`, with `arguments` besides.

    `title` is what the progress shows; `message` is that of the commits, with the number of rows in place of `{rows}`.
    """

    title: str
    missing: NDArray[np.int64]
    rows_per_task: int
    function: Callable[..., TaskResult]
    arguments: tuple[Any, ...]
    message: str


def run_stage(
    client: Any, cluster: Cluster, writer: Writer, job: Job, progress: Progress, seconds_per_row: float
) -> list[dict[str, Any]]:
    """Do a stage's missing rows: cut them into tasks, run and commit them, show progress. Returns the notes of all
    tasks.
    """
    if not len(job.missing):
        return []
    progress.start(job.title, len(job.missing), seconds_per_row)
    writer.note(f"{job.title}: {len(job.missing)} rows to do")
    tasks = tasks_for(job.missing, job.rows_per_task)
    notes = run(client, cluster, writer, tasks, job.function, job.arguments, message=job.message, progress=progress)
    progress.stop()
    writer.note(f"{job.title}: done")
    return notes


def missing_rows(writer: Writer, path: str, count: int | None = None) -> NDArray[np.int64]:
    """Rows whose hash, in the array at `path`, is not there yet, among the first `count`."""
    return np.flatnonzero(writer.read(path, slice(0, count)) == 0)


def member_files(recipe: Recipe) -> list[dict[str, str]]:
    """The files of the user's own behind a recipe's members: kept with a dataset as data, never run from there."""
    steps = recipe.chain.steps
    paths = [(EFFECTS if step.effect else SYNTHS).file_of(step.member) for step in steps]
    paths.append(SOURCES.file_of(recipe.source.name))
    return [asdict(file) for file in paths if file is not None]


def refuse_other_files(location: Location, stored: Sequence[dict[str, str]], files: Sequence[dict[str, str]]) -> None:
    """Raise `UsageError` where a member's file is another one than the dataset was started with."""
    before = {(one["kind"], one["name"]): one["digest"] for one in stored}
    for file in files:
        if before.get((file["kind"], file["name"]), file["digest"]) != file["digest"]:
            raise UsageError(
                f"{location.address} was made with another {file['name']}.py (SHA-256 {before[file['kind'], file['name']][:12]}): give that file, or choose another name with --out."
            )


def refuse_to_add(location: Location, stored: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a dataset of rows of others: nothing is rendered or imported into it."""
    if stored.get(ORIGINS):
        raise UsageError(
            f"{location.address} was selected or merged from other datasets and takes no new rows: choose another name with --out."
        )


def refuse_unfinished(writer: Writer, features: Sequence[str] = ()) -> None:
    """Count what is committed: all rows, all dry sounds, and these features of all rows. Raises `BuildError` unless
    everything is there.
    """
    missing = {"rows": len(missing_rows(writer, ROW_HASH)), "dry sounds": len(missing_rows(writer, DRY_HASH))}
    missing |= {f"rows of {name}": len(missing_rows(writer, feature_hash(name))) for name in features}
    for what, count in missing.items():
        if count:
            raise BuildError(
                f"{writer.location.address} is not finished: {count} {what} are missing. What was committed is safe: repeat the command to go on."
            )


def restore_tag(writer: Writer) -> None:
    """Tag the version that was committed, where a kill or a full disk came before its tag."""
    version = meta(writer.peek()).get("version")
    if not version or f"v{version}" in writer.tags:
        return
    commit = writer.commit_of(str(version))
    if commit is not None:
        writer.tag(f"v{version}", commit)


def new_version(writer: Writer, what: str, features: Sequence[str] = ()) -> str:
    """Number and tag the finished state: 1.0.0 at first, MINOR + 1 when rows or `features` came to it. Raises
    `BuildError` for what is not finished.
    """
    refuse_unfinished(writer, features)
    root = writer.root()
    numbers = [tuple(map(int, tag[1:].split("."))) for tag in writer.tags if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
    major, minor, _ = max(numbers, default=(1, -1, 0))
    version = f"{major}.{minor + 1}.0"
    set_meta(root, version=version)
    writer.commit(f"version {version}: {what}", version=version, by=author())
    writer.tag(f"v{version}")
    writer.note(f"version {version}: {what}")
    return version
