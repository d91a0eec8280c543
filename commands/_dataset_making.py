"""Commands that make something of datasets: select, merge, finish, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from timbre_data.commands._shared import (
    DatasetName,
    DryRun,
    Json,
    Seed,
    Workers,
    cluster_of,
    emit,
    known,
    resume_command,
    warn,
)

if TYPE_CHECKING:
    from timbre_data.pipeline.build.stage import Report

Where = Annotated[
    str | None,
    typer.Option(
        "--where", help="Condition on labels, such as 'drive_db > 40 and split == \"test\"'. Default: all rows."
    ),
]
Count = Annotated[int | None, typer.Option("--n", help="Number of rows, drawn at random of those that fit.")]
Balance = Annotated[
    str | None,
    typer.Option("--balance", help="Column of which each value gets equally many rows: effect, split, note ..."),
]


def select(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="Dataset or export; @TAG or @SNAPSHOT selects a version.")
    ],
    out: Annotated[str, typer.Option("--out", help="Name, path or s3:// address of the new dataset.")],
    where: Where = None,
    n: Count = None,
    balance: Balance = None,
    seed: Seed = 0,
    workers: Workers = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a dataset of the rows that a condition selects. Rows keep their hashes and say where they come from."""
    from timbre_data.pipeline.build import deriving
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.pipeline.store.selecting import Selection

    data, selection = Dataset(source), Selection(where, n, balance, seed)
    with bar(enabled=not dry_run, resume=resume_command()) as progress:
        cluster = cluster_of(workers, None, None)
        report = deriving.select(data, selection, locate(out), cluster, progress=progress, dry_run=dry_run)
    _emit_derived(report, f"{data.n} of {source}", dry_run, as_json)


def merge(
    sources: Annotated[list[str], typer.Argument(metavar="A B ...", help="Datasets or exports of one audio format.")],
    out: Annotated[str, typer.Option("--out", help="Name, path or s3:// address of the new dataset.")],
    workers: Workers = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make one dataset of the rows of several. Rows keep their hashes and say where they come from."""
    from timbre_data.pipeline.build import deriving
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.store.reader import Dataset

    opened = [Dataset(source) for source in sources]
    with bar(enabled=not dry_run, resume=resume_command()) as progress:
        cluster = cluster_of(workers, None, None)
        report = deriving.merge(opened, locate(out), cluster, progress=progress, dry_run=dry_run)
    _emit_derived(report, f"{sum(data.n for data in opened)} of {', '.join(sources)}", dry_run, as_json)


def finish(
    dataset: Annotated[str, typer.Argument(help="Dataset: name, path or s3:// address.")],
    drop: Annotated[
        bool, typer.Option("--drop", help="Give the parts up: the dataset is as it was before them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Join the parts of a dataset that several machines rendered (render --part). The last part does that by itself."""
    from timbre_data.pipeline.build import part_rendering
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.store.parts import drop_parts

    location = locate(dataset)
    if drop:
        drop_parts(location)
        emit({"dropped": location.address}, f"{location.address}: its parts are given up", as_json)
        return
    report = part_rendering.finish(location)
    emit(vars(report), f"{report.dataset}: joined, {report.total} rows, version {report.version}", as_json)


def _emit_derived(report: Report, of: str, dry_run: bool, as_json: bool) -> None:
    for warning in report.warnings:
        warn(warning)
    version = f", version {report.version}" if report.version else ""
    said = f"would take {report.total} rows" if dry_run else f"{report.reason}, {report.total} rows"
    emit(vars(report), f"{report.dataset}: {said} (of the {of}){version}", as_json)


def export(
    dataset: DatasetName,
    to: Annotated[Path, typer.Option("--to", help="New folder to write.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="Format (name or file): zarr (plain Zarr v3), wav (WAV + CSV), parquet, huggingface or webdataset.",
        ),
    ] = "zarr",
    leave_out_unfinished: Annotated[
        bool,
        typer.Option("--leave-out-unfinished", help="Leave out features that some rows lack, instead of refusing."),
    ] = False,
    where: Where = None,
    n: Count = None,
    balance: Balance = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Export a dataset, or the rows of it that a condition selects, to a hand-over format, with checksums and a dataset
    card.
    """
    from timbre_data.pipeline.build.deriving import selected
    from timbre_data.pipeline.store.exporters import EXPORTERS
    from timbre_data.pipeline.store.exporting import export as export_dataset
    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.pipeline.store.selecting import Selection

    data, selection = Dataset(dataset), Selection(where, n, balance, seed)
    if not data.recipe.licence:
        warn(f"{dataset} states no licence: say in the hand-over what others may do with its recordings.")
    form = known(form, EXPORTERS)
    with selected(data, selection, to) as chosen:
        count = export_dataset(chosen, to, form, leave_out_unfinished=leave_out_unfinished)
    emit(
        {"to": str(to), "format": form, "files": count}, f"{to}: {count} files, with README.md and SHA256SUMS", as_json
    )
