"""The import stage: a public dataset, stored as if it had been rendered."""

from __future__ import annotations

import json
from typing import Any

from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.connecting import check_cluster, dask_client
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.plan import refuse_other_names
from timbre_data.pipeline.build.provenance import provenance
from timbre_data.pipeline.build.recordings import (
    ImportTask,
    extra_labels,
    forget,
    import_origins,
    import_rows,
    inventory_of,
    own_tables,
)
from timbre_data.pipeline.build.stage import (
    Job,
    Report,
    missing_rows,
    new_version,
    refuse_to_add,
    restore_tag,
    run_stage,
)
from timbre_data.pipeline.catalogue.importer import Importer, Inventory
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.catalogue.validation import validate
from timbre_data.pipeline.importers import IMPORTERS
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.columns import DRY_HASH, ROW_HASH
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.writer import Writer, meta, set_meta
from timbre_data.schemas.errors import SourceError, UsageError
from timbre_data.schemas.recipe import Recipe


def import_dataset(
    importer: str,
    settings: dict[str, Any],
    location: Location,
    cluster: Cluster,
    *,
    audio: dict[str, Any] | None = None,
    progress: Progress | None = None,
    keep_going: bool = False,
    dry_run: bool = False,
) -> Report:
    """Import a public dataset. The same command again resumes; a finished one is left alone.

    Raises `SourceError` that names every missing, unreadable and unexpected file, unless `keep_going`: then they are
    left out and recorded with the dataset.
    """
    member: Importer = IMPORTERS.load(importer)
    name = importer.replace("-", "_")
    settings, audio = _as_long_as_pieces(member, settings, audio or {})
    checked = validate(member.settings, settings, f"import {importer}")
    settings_json = json.dumps(checked.model_dump(mode="json"))
    forget(member)
    inventory_of.cache_clear()
    inventory = inventory_of(name, settings_json)
    if inventory.problems and not keep_going:
        raise SourceError(importer, inventory.problems, "--keep-going leaves them out")
    refuse_other_names(importer, (str(recording.file) for recording in inventory.recordings))
    if not inventory.recordings:
        raise UsageError(f"{importer}: no recordings under {settings.get('path')}.")
    recipe = validate(
        Recipe,
        {
            "name": location.name,
            "description": member.summary,
            "licence": getattr(checked, "licence", "") or member.licence,
            "citation": member.citation,
            "source": {"name": name, **json.loads(settings_json)},
            "chain": {"steps": [{"effect": step} for step in getattr(checked, "steps", member.steps)], "choose": 1},
            "audio": member.audio.model_dump() | audio,
            "n": len(inventory.recordings),
        },
    )
    if dry_run:
        return Report(
            location.address,
            recipe.n,
            recipe.n,
            f"{len(inventory.origins)} dry sounds, {len(inventory.problems)} problems",
        )
    check_cluster(cluster)
    with Writer(location, create=True) as writer:
        restore_tag(writer)
        _prepare(writer, recipe, inventory)
        notes: list[dict[str, Any]] = []
        task = ImportTask(name, settings_json, inventory.digest, json.dumps(recipe.model_dump(mode="json")), keep_going)
        cheap = not any(origin.file for origin in inventory.origins)
        with dask_client(cluster) as client:
            for path, function, title, is_cheap in (
                (DRY_HASH, import_origins, "dry sounds", cheap),
                (ROW_HASH, import_rows, "recordings", False),
            ):
                missing = missing_rows(writer, path)
                job = Job(
                    title=title,
                    missing=missing,
                    rows_per_task=cluster.rows_per_task(len(missing), cheap=is_cheap),
                    function=function,
                    arguments=(task,),
                    message=f"{{rows}} {title}",
                )
                notes += run_stage(client, cluster, writer, job, progress or NoProgress(), recipe.audio.seconds)
                _raise_failures(importer, notes, keep_going)
        if not notes and meta(writer.peek()).get("version"):
            version = str(meta(writer.peek())["version"])
            return Report(location.address, 0, recipe.n, "finished already", writer.snapshot, version)
        version = new_version(writer, f"{recipe.n} recordings")
        failures = tuple(f"{file}: {reason}" for note in notes for file, reason in note.get("failures", {}).items())
        return Report(location.address, recipe.n, recipe.n, "imported", writer.snapshot, version, failed=failures)


def _as_long_as_pieces(
    member: Importer, settings: dict[str, Any], audio: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of an importer that cuts files, and of the sounds, of one length: a piece fills its row. Raises
    `UsageError` for two.
    """
    if "piece_seconds" not in member.settings.model_fields:
        return settings, audio
    given = [source[key] for source, key in ((settings, "piece_seconds"), (audio, "seconds")) if key in source]
    if not given:
        return settings, audio
    if given[0] != given[-1]:
        raise UsageError(
            f"piece_seconds={given[0]} and audio.seconds={given[1]}: a row holds one piece, so give one of them, or the same."
        )
    return settings | {"piece_seconds": given[0]}, audio | {"seconds": given[0]}


def _raise_failures(importer: str, notes: list[dict[str, Any]], keep_going: bool) -> None:
    failures = {file: f"unreadable: {reason}" for note in notes for file, reason in note.get("failures", {}).items()}
    if failures and not keep_going:
        raise SourceError(importer, dict(sorted(failures.items())), "--keep-going leaves them out")


def _prepare(writer: Writer, recipe: Recipe, inventory: Inventory) -> None:
    stored = meta(writer.peek())
    if stored:
        refuse_to_add(writer.location, stored)
        before = Recipe.model_validate(stored["recipe"])
        if stored["inventory"] == inventory.digest and before.identity() == recipe.identity():
            return
        if len(missing_rows(writer, ROW_HASH)) < before.n:
            raise UsageError(
                f"{writer.location.address} was imported from other files or annotations, or with other settings: choose another name with --out, or delete it first."
            )
    root = writer.root()  # new, or begun with files that could not be read and were repaired since
    for name in list(root):
        del root[name]
    chain = Chain(recipe.chain)
    parameters = [parameter.model_dump(mode="json") for parameter in chain.space]
    extra = extra_labels(inventory)
    specs = layout.specs(recipe, parameters, chain.step_names, inventory.tags, frame_classes=inventory.frame_classes)
    specs += [layout.ArraySpec(path, (), dtype) for path, dtype in extra.items()]
    for spec in specs:
        layout.create(root, spec, recipe.n if spec.follows == "rows" else len(inventory.origins), recipe.audio.codec)
    set_meta(
        root,
        format_version=layout.FORMAT_VERSION,
        kind="imported",
        recipe=recipe.model_dump(mode="json"),
        families=chain.families,
        inventory=inventory.digest,
        provenance=provenance(),
        features={},
        version=None,
        extra_labels=[*own_tables(inventory), *extra],
        problems=inventory.problems,
    )
    writer.commit(f"created for {recipe.n} recordings")
