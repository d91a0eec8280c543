"""Rendering in parts: `--part 3/20` on machines that share nothing but the dataset's store.

A part is a range of whole chunks of rows. The dry sounds, which all parts need, are shared out too: each part makes its
share, then whatever is still missing, and drops what another was faster with. The part that finds all others done joins
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbre_data.pipeline.build.connecting import check_cluster, refuse_other_code
from timbre_data.pipeline.build.engine import Cluster, note_other_code
from timbre_data.pipeline.build.leaving_out import left_out_messages
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.provenance import fingerprint
from timbre_data.pipeline.build.rendering import planned, prepare, render, render_missing
from timbre_data.pipeline.build.stage import Report, missing_rows, new_version, restore_tag
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.store.columns import DRY_HASH, ROW_HASH, TABLE_CHUNK
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.parts import PartWriter, refuse_without_parts
from timbre_data.pipeline.store.reader import open_if_there
from timbre_data.pipeline.store.writer import meta, set_meta
from timbre_data.pipeline.synths.hosting.trust import require_recipe
from timbre_data.schemas.errors import BuildError, LockedError, UsageError
from timbre_data.schemas.recipe import Recipe

BUILDING = "parts"
"""Field of a description while parts are made: how many, the first row that they make, the code that makes them."""
TRIES = 100
"""How often a part begins again because others were faster."""
MOST_PARTS = 10_000


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read 3/20. Raises `UsageError`."""
        match = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text.strip())
        part = cls(int(match[1]), int(match[2])) if match else cls(0, 0)
        if not 1 <= part.number <= part.count <= MOST_PARTS:
            raise UsageError(f"--part {text}: write 3/20 for the third of twenty parts.")
        return part

    def rows(self, first: int, count: int) -> tuple[int, int]:
        """Start and end of this part of the rows `first` to `count`; on borders of chunks, so that no two parts share
        one.
        """
        begin, end = first // TABLE_CHUNK, -(-count // TABLE_CHUNK)
        edges = [begin + (end - begin) * k // self.count for k in (self.number - 1, self.number)]
        return max(first, edges[0] * TABLE_CHUNK), min(count, edges[1] * TABLE_CHUNK)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def render_part(
    recipe: Recipe,
    location: Location,
    cluster: Cluster,
    part: Part,
    *,
    progress: Progress | None = None,
    keep_going: bool = False,
) -> Report:
    """Render one part of a dataset, or what is missing of it; the last one joins them.

    Raises `UsageError` where parts of another number or recipe are being made, `ClusterLostError` for other code.
    """
    plan, left_out = planned(recipe, location, keep_going=keep_going)
    recipe = plan.recipe
    require_recipe(recipe)
    check_cluster(cluster)
    progress = progress or NoProgress()
    there = open_if_there(location.address)
    if there and there.complete() and there.n >= recipe.n and there.meta.get("version"):
        return render(recipe, location, cluster, progress=progress)  # which finds nothing to do, or another recipe
    with PartWriter(location, create=True) as writer:
        about = meta(writer.peek())
        if about.get("version") and about["recipe"]["n"] == recipe.n:  # a join that was killed
            prepare(writer, plan, progress)
            return Report(location.address, 0, recipe.n, f"part {part} is there: joined", None, _join(writer))
        first = _begun(writer, plan, cluster, part, progress)
        _make_dry_sounds(writer, plan, cluster, part, progress)
        start, stop = part.rows(first, recipe.n)
        missing = missing_rows(writer, ROW_HASH, recipe.n)
        missing = missing[(missing >= start) & (missing < stop)]
        notes = render_missing(writer, plan, cluster, missing[:0], missing, progress, keep_going)
        writer.refresh()
        left = unfinished_parts(writer)
        version = None if left else _join(writer)
        state = f"still missing: {shown(left)}" if left else "the last one: joined"
        return Report(
            location.address,
            len(missing),
            recipe.n,
            f"part {part} rendered, {state}",
            writer.snapshot if left else None,
            version,
            rejected=sum(note.get("rejected", 0) for note in notes),
            failed=(*left_out_messages(left_out), *(text for note in notes for text in note.get("failed", ()))),
        )


def finish(location: Location) -> Report:
    """Join the parts of a dataset. Raises `BuildError` that names the parts that are not finished."""
    refuse_without_parts(location)
    with PartWriter(location) as writer:
        about = meta(writer.peek())
        left = unfinished_parts(writer)
        if left or not about:
            raise BuildError(
                f"{location.address} is not finished: missing are {shown(left) or 'all parts'}. Repeat their commands (render ... --part {left[0] if left else '1/N'}); a killed part goes on where it was."
            )
        version = _join(writer)
        return Report(location.address, 0, int(about["recipe"]["n"]), "joined", None, version)


def shown(parts: list[Part]) -> str:
    """Names of some parts."""
    return ", ".join(map(str, parts[:10])) + (f" and {len(parts) - 10} more" if len(parts) > 10 else "")


def unfinished_parts(writer: PartWriter) -> list[Part]:
    """The parts of which rows are missing; all of them where dry sounds are."""
    about = meta(writer.peek())
    if BUILDING not in about or about[BUILDING] is None:
        return [] if about.get("version") else [Part(1, 1)]
    building, count = about[BUILDING], int(about["recipe"]["n"])
    parts = [Part(number, building["count"]) for number in range(1, building["count"] + 1)]
    missing = missing_rows(writer, ROW_HASH, count)
    ranges = [part.rows(building["first"], count) for part in parts]
    if len(missing_rows(writer, DRY_HASH)):
        return [part for part, (start, stop) in zip(parts, ranges, strict=True) if start < stop]
    return [
        part
        for part, (start, stop) in zip(parts, ranges, strict=True)
        if np.searchsorted(missing, start) < np.searchsorted(missing, stop)
    ]


def _attempts(writer: PartWriter) -> Iterator[int]:
    """Count how often something is tried that other parts may be faster with. Raises `LockedError` where they always
    are.
    """
    yield from range(TRIES)
    raise LockedError(f"{writer.location.address} is changed by other parts all the time: run this again.")


def _begun(writer: PartWriter, plan: Plan, cluster: Cluster, part: Part, progress: Progress) -> int:
    """Create or grow the dataset, unless another part has done so, and refuse other code than it was begun with.
    Returns the first row that the parts make.
    """
    for _ in _attempts(writer):
        try:
            before = meta(writer.peek())
            if before.get(BUILDING) and before["recipe"]["n"] != plan.recipe.n:
                raise UsageError(
                    f"{writer.location.address} is being made in parts with n = {before['recipe']['n']}: run this part with that n."
                )
            prepare(writer, plan, progress)
            about = meta(writer.peek())
            if not about.get(BUILDING):
                missing = missing_rows(writer, ROW_HASH, plan.recipe.n)
                first = int(missing[0]) if len(missing) else plan.recipe.n
                set_meta(writer.root(), **{BUILDING: {"count": part.count, "first": first, "code": fingerprint()}})
                writer.commit(f"begun in {part.count} parts")
                about = meta(writer.peek())
            if about[BUILDING]["code"] != fingerprint():
                if not cluster.allow_mixed:
                    refuse_other_code("the machine that began this dataset", about[BUILDING]["code"])
                note_other_code(writer, fingerprint())
                writer.commit("a part is made by other code")
        except LockedError:  # another part was faster with the same
            writer.refresh()
            continue
        building: dict[str, Any] = about[BUILDING]
        if building["count"] != part.count:
            raise UsageError(
                f"{writer.location.address} is being made in {building['count']} parts, not {part.count}: say --part {min(part.number, building['count'])}/{building['count']}."
            )
        return int(building["first"])
    raise AssertionError("attempts end with an error")


def _make_dry_sounds(writer: PartWriter, plan: Plan, cluster: Cluster, part: Part, progress: Progress) -> None:
    count = plan.dry_count(plan.recipe.n)
    for attempt in _attempts(writer):
        writer.refresh()
        missing = missing_rows(writer, DRY_HASH, count)
        if not len(missing):
            return
        start, stop = part.rows(int(missing[0]), count) if attempt == 0 else (0, count)
        share = missing[(missing >= start) & (missing < stop)]
        try:
            render_missing(writer, plan, cluster, share, share[:0], progress, keep_going=False)
        except LockedError:  # some of them were made by another part meanwhile
            continue


def _join(writer: PartWriter) -> str:
    """Make a version of the parts and let the dataset follow them, whoever of the parts does it first."""
    version = ""
    for _ in _attempts(writer):
        about = meta(writer.peek())
        if about.get("version"):
            version = str(about["version"])
            restore_tag(writer)
            break
        try:
            root = writer.root()
            set_meta(root, **{BUILDING: None})
            version = new_version(writer, f"{about['recipe']['n']} rows, joined from {about[BUILDING]['count']} parts")
            break
        except LockedError:
            writer.refresh()
    writer.join()
    return version
