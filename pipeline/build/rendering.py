"""The render stage. It resumes, grows, and does nothing when there is nothing to do."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.connecting import check_cluster, dask_client
from timbre_data.pipeline.build.dry_sounds import render_dry, write_played
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.estimating import estimate
from timbre_data.pipeline.build.isolation import measured_isolation, not_repeatable
from timbre_data.pipeline.build.leaving_out import left_out_messages, without_unusable
from timbre_data.pipeline.build.machine import nearest_existing
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.provenance import provenance
from timbre_data.pipeline.build.rerendering import ROUNDING_DB, rerender_rows, runtime_recipe
from timbre_data.pipeline.build.row_rendering import render_rows
from timbre_data.pipeline.build.stage import (
    Job,
    Report,
    closing_instruments,
    member_files,
    missing_rows,
    new_version,
    refuse_other_files,
    refuse_to_add,
    restore_tag,
    run_stage,
)
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.columns import CLIP, DRY_AUDIO, DRY_HASH, ROW_HASH, TABLE_CHUNK, feature_hash
from timbre_data.pipeline.store.comparing import flattened
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.reader import Dataset, open_if_there
from timbre_data.pipeline.store.writer import Writer, meta, set_meta
from timbre_data.pipeline.synths.hosting.trust import require_recipe
from timbre_data.schemas.errors import BuildError, SourceError, UsageError
from timbre_data.schemas.recipe import Recipe

ROWS_MADE_AGAIN = 8
"""Number of rows that are compared before other code, or another machine, adds to a dataset."""


def render(
    recipe: Recipe,
    location: Location,
    cluster: Cluster,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    keep_going: bool = False,
    features: Mapping[str, Mapping[str, Any]] | None = None,
    probe: bool = True,
) -> Report:
    """Render what is missing of a dataset.

    A new dataset is created, an unfinished one resumed, a finished one grown when `recipe.n` is larger; else nothing is
    done. `features` (settings by name) are computed in the same tasks; rows that were there get them afterwards. A
    `dry_run` says what would be done, and from a few rows that it probes how long it takes.
    Raises `UsageError` when the stored dataset was made from a different recipe, or holds features with other settings.
    """
    hot = featurizing.resolve(features or {})
    featurizing.refuse_others(location, hot)
    plan, left_out = planned(recipe, location, keep_going=keep_going)
    recipe = plan.recipe
    if dry_run:
        if hasattr(plan.source, "check"):
            plan.source.check()
        report = _dry_run_report(recipe, location)
        probed = estimate(plan, report.rows, location, cluster.workers) if probe and report.rows else None
        return replace(report, warnings=tuple(plan.warnings()), estimate=probed)
    require_recipe(recipe)
    _check_space(recipe, location)
    check_cluster(cluster)
    progress = progress or NoProgress()
    with Writer(location, create=True) as writer:
        restore_tag(writer)
        prepare(writer, plan, progress)
        featurizing.prepare(writer, hot)
        missing_dry = missing_rows(writer, DRY_HASH, plan.dry_count(recipe.n))
        missing = missing_rows(writer, ROW_HASH, recipe.n)
        if not len(missing) and not len(missing_dry) and meta(writer.peek()).get("version"):
            late = [
                featurizing.featurize_missing(writer, name, asked, cluster, progress) for name, asked in hot.items()
            ]
            finished = replace(_finished(writer, location, recipe), failed=left_out_messages(left_out))
            return replace(finished, reason="; ".join([finished.reason, *(one.reason for one in late)]))
        notes = render_missing(writer, plan, cluster, missing_dry, missing, progress, keep_going, hot)
        whole = [name for name in hot if not len(missing_rows(writer, feature_hash(name)))]
        version = new_version(writer, f"{recipe.n} rows{''.join(f', {name}' for name in whole)}", whole)
        for name in [one for one in hot if one not in whole]:
            version = featurizing.featurize_missing(writer, name, hot[name], cluster, progress).version or version
        return Report(
            dataset=location.address,
            rows=len(missing),
            total=recipe.n,
            reason="rendered",
            snapshot=writer.snapshot,
            version=version,
            rejected=sum(note.get("rejected", 0) for note in notes),
            failed=(
                *left_out_messages(left_out),
                *(message for note in notes for message in note.get("failed", ())),
            ),
            warnings=(*plan.warnings(), *not_repeatable(meta(writer.peek()))),
        )


def planned(recipe: Recipe, location: Location, *, keep_going: bool) -> tuple[Plan, dict[str, str]]:
    """The plan of a recipe with its source opened, and the sounds that `keep_going` leaves out of it. Raises
    `SourceError`.
    """
    left_out: dict[str, str] = {}
    if keep_going:
        recipe, left_out = without_unusable(recipe, location)
    plan = Plan(recipe)
    problems = getattr(plan.source, "problems", {})  # a source that cannot be opened ends it here
    if problems:
        raise SourceError(recipe.source.name, problems, "--keep-going leaves them out")
    return plan, left_out


def render_missing(
    writer: Writer,
    plan: Plan,
    cluster: Cluster,
    missing_dry: NDArray[np.int64],
    missing: NDArray[np.int64],
    progress: Progress,
    keep_going: bool,
    features: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Make dry sounds and rows of a prepared dataset, and `features` of these rows. Returns the notes of the tasks that
    made rows. Raises `SourceError` for dry sounds that cannot be used.
    """
    played = plan.chain.synth is not None
    runtime = runtime_recipe(plan.recipe, meta(writer.peek()))
    recipe_json = json.dumps(runtime.model_dump(mode="json"))
    with dask_client(cluster) as client, closing_instruments(client):
        dry = Job(
            title="notes" if played else "dry sounds",
            missing=missing_dry,
            rows_per_task=TABLE_CHUNK,
            function=write_played if played else render_dry,
            arguments=(recipe_json, plan.inventory),
            message="{rows} notes" if played else "{rows} dry sounds",
        )
        notes = run_stage(client, cluster, writer, dry, progress, plan.recipe.audio.seconds)
        failures = {name: reason for note in notes for name, reason in note.get("failures", {}).items()}
        if failures:
            raise SourceError(plan.recipe.source.name, dict(sorted(failures.items())))
        rows = Job(
            title="rendering",
            missing=missing,
            rows_per_task=cluster.rows_per_task(len(missing)),
            function=render_rows,
            arguments=(recipe_json, plan.inventory, _dry_key(writer), keep_going, json.dumps(dict(features))),
            message="{rows} rows",
        )
        return run_stage(client, cluster, writer, rows, progress, plan.recipe.audio.seconds)


def _dry_key(writer: Writer) -> str:
    if DRY_AUDIO not in writer.peek():
        return ""
    return hashlib.sha256(writer.read(DRY_HASH).tobytes()).hexdigest()


def prepare(writer: Writer, plan: Plan, progress: Progress | None = None) -> None:
    """Create the arrays, or grow them to the recipe's n; refuse a different recipe."""
    recipe, stored = plan.recipe, meta(writer.peek())
    dry = plan.dry_count(recipe.n)
    parameters = [parameter.model_dump(mode="json") for parameter in plan.chain.space]
    specs = layout.specs(
        recipe,
        parameters,
        plan.chain.step_names,
        plan.tags,
        clips=CLIP in plan.extra_labels,
        frame_classes=plan.frame_classes,
        responses=plan.chain.has_response,
        variation=plan.variation,
    )
    if not stored:
        root = writer.root()
        for spec in specs:
            layout.create(root, spec, recipe.n if spec.follows == "rows" else dry, recipe.audio.codec)
        set_meta(
            root,
            format_version=layout.FORMAT_VERSION,
            kind="rendered",
            recipe=recipe.model_dump(mode="json"),
            families=plan.chain.families,
            inventory=plan.inventory,
            provenance=provenance(),
            isolation=measured_isolation(plan, progress),
            features={},
            version=None,
            extra_labels=list(plan.extra_labels),
            files=member_files(recipe),
        )
        writer.commit(f"created for {recipe.n} rows")
        return
    refuse_to_add(writer.location, stored)
    begun = Recipe.model_validate(stored["recipe"])
    untouched = not stored["version"] and len(missing_rows(writer, ROW_HASH, begun.n)) == begun.n
    if untouched and _differ_in_what_is_left_out(begun, recipe):
        begun = begun.model_copy(update={"source": recipe.source})
        set_meta(writer.root(), recipe=begun.model_dump(mode="json"))
    _refuse_other_recipe(writer.location, begun, recipe)
    refuse_other_files(writer.location, stored.get("files", []), member_files(recipe))
    if recipe.n > stored["recipe"]["n"] or not stored["version"]:
        _refuse_other_sound(writer.location, writer.snapshot, stored)
    before = begun.n
    if stored["inventory"] != plan.inventory and untouched:
        root = writer.root()
        _resize(root, specs, before, dry)
        made = root[DRY_HASH]
        assert isinstance(made, zarr.Array)
        made[:] = 0
        set_meta(root, inventory=plan.inventory)
        writer.commit("started again: the source has changed")
    elif stored["inventory"] != plan.inventory:
        raise UsageError(
            f"{writer.location.address}: the source {recipe.source.name} has changed since this dataset was started: restore its sounds, or render under another name with --out."
        )
    if recipe.n < stored["recipe"]["n"] and not stored["version"]:
        raise UsageError(
            f"{writer.location.address} was started with n = {stored['recipe']['n']} and cannot shrink: run again with that n."
        )
    if recipe.n > stored["recipe"]["n"]:
        root = writer.root()
        _resize(root, specs, recipe.n, dry)
        for name, feature_set in stored["features"].items():
            for path, shape in ((feature_set["path"], tuple(feature_set["shape"])), (f"integrity/{name}", ())):
                array = root[path]
                assert isinstance(array, zarr.Array)
                array.resize((recipe.n, *shape))
        set_meta(root, recipe=recipe.model_dump(mode="json"), provenance=provenance(), version=None)
        writer.commit(f"grown to {recipe.n} rows")


def _differ_in_what_is_left_out(begun: Recipe, recipe: Recipe) -> bool:
    """Whether recipes differ in the sounds that their source leaves out, and in nothing else."""
    one, other = begun.identity(), recipe.identity()
    left_out = [identity["source"].pop("leave_out", None) for identity in (one, other)]
    return one == other and left_out[0] != left_out[1]


def _resize(root: zarr.Group, specs: Sequence[layout.ArraySpec], rows: int, dry: int) -> None:
    """Give all arrays of a dataset as many rows and dry sounds."""
    for spec in specs:
        array = root[spec.path]
        assert isinstance(array, zarr.Array)
        array.resize((rows if spec.follows == "rows" else dry, *spec.row_shape))


def _refuse_other_sound(location: Location, snapshot: str, stored: dict[str, Any]) -> None:
    """If other code or another machine continues a dataset: render some of its rows again first, and refuse if they
    differ.
    """
    if stored.get("provenance") == provenance():
        return
    data = Dataset(location.address, snapshot)
    if not len(data.usable()):
        return
    comparison = rerender_rows(data, ROWS_MADE_AGAIN)
    if not comparison["same"] and comparison["largest_db"] > ROUNDING_DB:
        raise UsageError(
            f"{location.address} was started by another version or on another machine, whose sounds differ from those rendered here (by up to {comparison['largest_db']:.0f} dB): continue where it was started, or render under another name with --out."
        )


def _refuse_other_recipe(location: Location, stored: Recipe, asked: Recipe) -> None:
    before, now = flattened(stored.identity()), flattened(asked.identity())
    different = [
        f"{key} is {before.get(key)!r}, asked {now.get(key)!r}"
        for key in sorted(before | now)
        if before.get(key) != now.get(key)
    ]
    if different:
        raise UsageError(
            f"{location.address} was made from another recipe ({'; '.join(different[:4])}): choose another name with --out, or delete it first."
        )


def _finished(writer: Writer, location: Location, recipe: Recipe) -> Report:
    stored = meta(writer.peek())
    total = stored["recipe"]["n"]
    reason = (
        "finished already"
        if total == recipe.n
        else f"finished already, with {total} rows (a dataset never shrinks; its first {recipe.n} rows are the requested ones)"
    )
    return Report(location.address, 0, total, reason, writer.snapshot, stored["version"])


def row_bytes(recipe: Recipe) -> int:
    """Bytes of one row before compression."""
    return recipe.audio.channels * recipe.audio.samples * (2 if recipe.audio.dtype == "int16" else 4) + 256


def _dry_run_report(recipe: Recipe, location: Location) -> Report:
    size = row_bytes(recipe) * recipe.n
    data = open_if_there(location.address)
    if data is None:
        return Report(location.address, recipe.n, recipe.n, "new dataset", estimated_bytes=size)
    refuse_to_add(location, data.meta)
    _refuse_other_recipe(location, data.recipe, recipe)
    there = int(data.present()[: recipe.n].sum())
    left = recipe.n - there
    reason = (
        "nothing to do, finished already"
        if not left
        else f"{there} rows are there" + (", the dataset grows" if recipe.n > data.n else "")
    )
    return Report(
        location.address, left, recipe.n, reason, data.snapshot, data.version, estimated_bytes=row_bytes(recipe) * left
    )


def _check_space(recipe: Recipe, location: Location) -> None:
    """Refuse to begin what cannot fit: the estimate is before compression, which saves little on wet sound."""
    if location.remote:
        return
    data = open_if_there(location.address)
    there = int(data.present().sum()) if data else 0
    folder = nearest_existing(location.folder)
    free = shutil.disk_usage(folder).free
    needed = 0.5 * row_bytes(recipe) * max(recipe.n - there, 0)
    if needed > free:
        raise BuildError(
            f"{recipe.n - there} rows need at least {needed / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB free: free some space, lower --n, or choose another place with --out."
        )
