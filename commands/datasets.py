"""Commands that manage datasets: list, show, card, log, tag, diff, copy, select, merge, finish, rename, rm, verify,
export, gc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from timbre_data.commands._dataset_making import export, finish, merge, select
from timbre_data.commands._dataset_text import (
    comparison_text,
    difference_lines,
    listed_text,
    log_lines,
    remedy,
    shortened,
)
from timbre_data.commands._shared import (
    DatasetName,
    Group,
    Json,
    Trust,
    emit,
    group,
    resume_command,
    warn,
)
from timbre_data.schemas.errors import CorruptDataError, NotFoundError, TimbreDataError, UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

app = group(
    "Manage datasets: list, show, card, log, tag, diff, copy, select, merge, finish, rename, rm, verify, export, gc."
)
GROUP = Group(app, order=40, name="dataset")


SourceName = Annotated[str, typer.Argument(metavar="SRC", help="Dataset: name, path or s3:// address.")]
COMPARED = "Dataset, with @TAG or @SNAPSHOT for a version."


@app.command("list", epilog="Example: timbre-data dataset list s3://sounds/shared")
def list_datasets(
    where: Annotated[
        str | None, typer.Argument(help="Folder or s3:// prefix. Default: $TIMBRE_DATA_HOME, else ./datasets.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the datasets of a folder or an s3:// prefix: newest version, rows, size, description, who and when."""
    from timbre_data.pipeline.store.location import home
    from timbre_data.pipeline.store.shelf import datasets_in

    place = where or str(home())
    rows = [row for row in map(_listed, datasets_in(place)) if row]
    emit(rows, "\n".join(map(listed_text, rows)) or f"no datasets in {place}", as_json)


def _listed(address: str) -> dict[str, Any]:
    """One line of the list; a damaged dataset is one, too. Empty for what was only begun."""
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.store.parts import open_parts
    from timbre_data.pipeline.store.reader import open_if_there
    from timbre_data.pipeline.store.shelf import size_of

    row: dict[str, Any] = {"name": locate(address).name, "address": address}
    try:
        data = open_if_there(address)
        in_parts = data is None
        data = data or open_parts(address)
        if data is None:
            return {}
        made, size = data.made(), size_of(data.location)
    except NotFoundError:  # another folder, or only begun
        return {}
    except CorruptDataError as error:
        return row | {"version": None, "rows": None, "present": None, "features": [], "damage": str(error)}
    present = _present(data)
    return row | {
        "version": "in parts" if in_parts else data.version,
        "rows": data.recipe.n,
        "present": present,
        "finished": present == data.recipe.n,
        "features": list(data.feature_sets()),
        "bytes": size,
        "description": data.recipe.description,
        "by": made.get("by", ""),
        "date": made.get("date", ""),
        "damage": None,
    }


def _present(data: Dataset) -> int | None:
    """The number of committed rows; None where the hashes cannot be read (`dataset verify` says why)."""
    try:
        return int(data.present().sum())
    except TimbreDataError:
        return None


@app.command("show", epilog="Example: timbre-data dataset show distortion@v1.0.0")
def show(
    dataset: DatasetName,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw histograms of the labels and spectrograms of two rows in the terminal.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the contents of a dataset: rows, splits, parameters with ranges, features, recipe, provenance."""
    import yaml

    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.pipeline.store.versions import summary

    opened = Dataset(dataset)
    if plot and not as_json:
        from timbre_data.commands.pages.terminal import draw_dataset

        draw_dataset(opened)
        return
    data = summary(opened)
    text = yaml.safe_dump(shortened(data), sort_keys=False, allow_unicode=True, width=120).rstrip()
    emit(data, text, as_json)


@app.command("card", epilog="Example: timbre-data dataset card distortion@v1.0.0")
def card(dataset: DatasetName) -> None:
    """Print the card of a dataset, as Markdown: arrays, how to open it with five tools, licence, citation, recipe."""
    from timbre_data.pipeline.store.card import card as card_of
    from timbre_data.pipeline.store.reader import Dataset

    typer.echo(card_of(Dataset(dataset)))


@app.command("log", epilog="Example: timbre-data dataset log distortion")
def log(dataset: DatasetName, as_json: Json = False) -> None:
    """Show the commits, newest first."""
    from timbre_data.pipeline.store import versions
    from timbre_data.pipeline.store.location import locate

    entries = versions.log(locate(dataset))
    emit(entries, "\n".join(log_lines(entries)), as_json)


@app.command("tag", epilog="Example: timbre-data dataset tag distortion paper")
def tag(
    dataset: DatasetName,
    name: Annotated[str, typer.Argument(metavar="TAG", help="Name for the newest version. Tags never move.")],
    as_json: Json = False,
) -> None:
    """Tag the newest version of a dataset."""
    from timbre_data.pipeline.store import versions
    from timbre_data.pipeline.store.location import locate

    snapshot = versions.tag(locate(dataset), name)
    emit({"tag": name, "snapshot": snapshot}, f"{dataset}@{name} is {snapshot}", as_json)


@app.command("diff", epilog="Example: timbre-data dataset diff distortion@v1.0.0 distortion")
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help=COMPARED)],
    second: Annotated[str, typer.Argument(metavar="B", help=COMPARED)],
    as_json: Json = False,
) -> None:
    """Say how two datasets differ: recipe, code, parameters, rows, features. Exit code 1 if their content differs."""
    from timbre_data.pipeline.store.comparing import compare
    from timbre_data.pipeline.store.reader import Dataset

    difference = compare(Dataset(first), Dataset(second))
    emit(vars(difference), "\n".join(difference_lines(difference)), as_json)
    if not difference.same:
        raise typer.Exit(1)


@app.command("copy", epilog="Example: timbre-data dataset copy distortion s3://sounds/shared/distortion")
def copy(
    source: SourceName,
    target: Annotated[str, typer.Argument(metavar="DST", help="Name, path or s3:// address of the copy.")],
    as_json: Json = False,
) -> None:
    """Copy a dataset with history, tags and features, and verify what arrived. Only what the copy lacks is sent:
    repeat the command after an interruption, or when the dataset has grown.
    """
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.store import copying
    from timbre_data.pipeline.store.location import locate

    with bar(enabled=True, resume=resume_command()) as progress:
        report = copying.copy(locate(source), locate(target), progress)
    text = f"{report.target}: {report.version}, {report.sent} objects sent ({report.sent_bytes / 1e6:.1f} MB), {report.there_already} were there; verified"
    emit(vars(report), text, as_json)


@app.command("rename", epilog="Example: timbre-data dataset rename distortion distortion-2026")
def rename(
    source: SourceName,
    target: Annotated[str, typer.Argument(metavar="DST", help="New name, path or s3:// address.")],
    as_json: Json = False,
) -> None:
    """Give a dataset another name or place. Runs that were trained on it keep its old name."""
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.store import copying
    from timbre_data.pipeline.store.location import locate

    before, after = locate(source), locate(target)
    with bar(enabled=True, resume=resume_command()) as progress:
        copying.rename(before, after, progress)
    emit({"from": before.address, "to": after.address}, f"{before.address} is {after.address} now", as_json)


@app.command("rm", epilog="Example: timbre-data dataset rm distortion")
def remove(
    dataset: Annotated[str, typer.Argument(help="Dataset: name, path or s3:// address.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a dataset with all its versions, after asking."""
    import sys

    from timbre_data.pipeline.store import copying
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.store.repository import refuse_absent
    from timbre_data.pipeline.store.shelf import size_of

    location = locate(dataset)
    refuse_absent(location)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"dataset rm deletes {location.address} with all its versions: say --yes if that is meant."
            )
        question = f"Delete {location.address} with all its versions ({size_of(location) / 1e6:.1f} MB)?"
        if not typer.confirm(question, err=True):
            raise typer.Exit(1)
    deleted = copying.remove(location)
    emit(
        {"removed": location.address, "bytes": deleted}, f"{location.address}: deleted, {deleted / 1e6:.1f} MB", as_json
    )


@app.command("verify", epilog="Example: timbre-data dataset verify distortion --rerender 64")
def verify(
    dataset: DatasetName,
    rerender: Annotated[
        int, typer.Option("--rerender", min=0, help="Number of rows to render again and compare bit by bit.")
    ] = 0,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Check every row against its hash. Exit code 3 if data is missing or damaged, 1 if re-rendered rows differ."""
    from timbre_data.pipeline.build.isolation import not_repeatable
    from timbre_data.pipeline.build.rerendering import rerender_rows
    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.pipeline.store.verify import ranges
    from timbre_data.pipeline.store.verify import verify as verify_rows

    data = Dataset(dataset)
    verdict = verify_rows(data)
    lines = [f"{verdict.dataset}: {verdict.checked} rows and features checked"]
    lines += [
        f"{kind} {what}: {ranges(rows)}"
        for kind, rows_of in (("missing", verdict.missing), ("damaged", verdict.damaged))
        for what, rows in rows_of.items()
    ]
    lines += [f"damaged history: {problem}" for problem in verdict.history]
    lines += sorted(set(verdict.messages))
    comparison = None
    if rerender and verdict.whole:
        comparison = rerender_rows(data, rerender)
        lines.append(comparison_text(comparison))
        for warning in not_repeatable(data.meta):
            warn(warning)
    lines.append("whole" if verdict.whole else f"NOT WHOLE: {remedy(verdict)}")
    emit(vars(verdict) | {"whole": verdict.whole, "rerender": comparison}, "\n".join(lines), as_json)
    if not verdict.whole:
        raise typer.Exit(3)
    if comparison and not comparison["same"]:
        raise typer.Exit(1)


@app.command("gc", epilog="Example: timbre-data dataset gc distortion")
def gc(
    dataset: DatasetName,
    older_than: Annotated[
        float, typer.Option("--older-than", help="Minimum age in hours of the files to delete, at least 1.")
    ] = 24.0,
    as_json: Json = False,
) -> None:
    """Delete files that killed builds left behind. Commits and tags stay. Refused while the dataset is being
    written.
    """
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.store.versions import collect_garbage

    deleted = collect_garbage(locate(dataset), older_than)
    emit(deleted, f"{dataset}: {deleted['chunks']} chunks deleted, {deleted['bytes'] / 1e6:.1f} MB", as_json)


app.command("export", epilog="Example: timbre-data dataset export distortion --to distortion-wav --format wav")(export)
app.command(
    "select",
    epilog="Example: timbre-data dataset select drives --where 'drive_db > 40 and split == \"test\"' --out loud",
)(select)
app.command("finish", epilog="Example: timbre-data dataset finish s3://sounds/shared/distortion")(finish)
app.command("merge", epilog="Example: timbre-data dataset merge distortion delay --out both")(merge)
