"""Commands that show what was made: the page of a dataset or a run, and what feature sets hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from timbre_data.commands._shared import Group, Json, Seed, Trust, check_datasets, emit, group, names_of, say, warn
from timbre_data.schemas.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from timbre_data.commands.pages.dataset_page import PageReport
    from timbre_data.pipeline.store.reader import Dataset

app = group()
GROUP = Group(app, order=45)


@app.command(epilog="Example: timbre-data look distortion --row 17 --row 99")
def look(
    name: Annotated[
        str, typer.Argument(metavar="DATASET|RUN", help="Dataset (name, path or s3:// address, with @TAG), or run.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the page. Default: look/NAME-VERSION, of a run RUN/evaluation/page."),
    ] = None,
    sounds: Annotated[
        int | None,
        typer.Option("--sounds", min=0, help="Number of rows with sounds on the page. Default: 200, of a run 24."),
    ] = None,
    row: Annotated[list[int] | None, typer.Option("--row", help="Row whose sound is on the page. Repeatable.")] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="Other dataset or version, to say how they differ.")
    ] = None,
    evaluation: Annotated[
        str | None,
        typer.Option("--evaluation", help="Folder in the run: an evaluation of another split or other data."),
    ] = None,
    refine: Annotated[
        int, typer.Option("--refine", min=0, help="Renders of a search that refines each predicted row (run).")
    ] = 0,
    wav: Annotated[bool, typer.Option("--wav", help="Write the sounds of the page as WAV files, too.")] = False,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Make the page of a dataset or of a run's evaluation: rows to hear and see, charts, tables; a folder that opens
    without a server.
    """
    if _is_run(name):
        if row or against is not None:
            raise UsageError("--row and --against belong to the page of a dataset.")
        report = _look_at_run(name, out, 24 if sounds is None else sounds, evaluation, refine, wav=wav)
    else:
        if evaluation is not None or refine:
            raise UsageError("--evaluation and --refine belong to the page of a run.")
        report = _look_at_dataset(name, out, 200 if sounds is None else sounds, row or [], against, wav=wav)
    for warning in report.warnings:
        warn(warning)
    if browser:
        import webbrowser

        webbrowser.open(Path(report.page).absolute().as_uri())
    say(f"open {report.page} in a browser")
    text = f"{report.page}: {report.rows} rows, {report.sounds} with sound, {report.bytes / 1e6:.1f} MB"
    emit(vars(report), text, as_json)


@app.command(epilog="Example: timbre-data probe delay,distortion --features autofx163,embedding")
def probe(
    data: Annotated[str, typer.Argument(help="Comma-separated datasets with feature sets.")],
    features: Annotated[
        str | None,
        typer.Option("--features", help="Comma-separated feature sets of vectors. Default: all that they share."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=20, help="Rows of each dataset, at most.")] = 2000,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Number of cross-validation folds, by dry note.")] = 5,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run. Default: from the settings.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Say what feature sets hold: effects, instruments, datasets and settings, told by nearest neighbours and by a
    linear probe.
    """
    from timbre_data.pipeline.features import FEATURE_SETS

    datasets, chosen = [one.strip() for one in data.split(",")], names_of(features, FEATURE_SETS)
    check_datasets(datasets)
    from timbre_data.models.studies import probing

    result = probing.probe(datasets, chosen or (), limit=limit, folds=folds, seed=seed, name=name, say=say)
    say(f"table and figures are in {result.folder}")
    emit(result.metrics, result.markdown(), as_json)


def _is_run(name: str) -> bool:
    """Whether a name is a run's rather than a dataset's, which comes first. Raises `NotFoundError` for neither."""
    from timbre_data.models.training.runs import SETTINGS, runs_home
    from timbre_data.pipeline.store.location import check_exists, locate

    there = any((place / SETTINGS).is_file() for place in (Path(name), runs_home() / name))
    if not there or locate(name).remote:
        check_exists(name)
        return False
    if Path(name).is_dir():
        return (Path(name) / SETTINGS).is_file()
    try:
        check_exists(name)
    except NotFoundError:
        return True
    return False


def _look_at_run(
    name: str, out: Path | None, sounds: int, evaluation: str | None, refine: int, *, wav: bool
) -> PageReport:
    from timbre_data.commands.pages.run_page import PAGE, write_run_page
    from timbre_data.models.training.runs import find_run

    run = find_run(name)
    folder = run / (evaluation or "evaluation")
    if evaluation is not None and (Path(evaluation).name != evaluation or not folder.is_dir()):
        known = sorted(path.name for path in run.glob("evaluation*") if path.is_dir())
        raise UsageError(f"--evaluation {evaluation}: {run.name} has {', '.join(known) or 'none'}.")
    return write_run_page(run, folder, out or folder / PAGE, sounds=sounds, refine=refine, wav=wav)


def _look_at_dataset(
    name: str, out: Path | None, sounds: int, row: list[int], against: str | None, *, wav: bool
) -> PageReport:
    from timbre_data.pipeline.store.location import check_exists

    if against is not None:
        check_exists(against)
    from timbre_data.commands.pages.dataset_page import write_dataset_page
    from timbre_data.pipeline.store.reader import Dataset

    data = Dataset(name)
    wrong = sorted({one for one in row if not 0 <= one < data.n})
    if wrong:
        raise UsageError(f"--row {wrong[0]}: {data.name} has rows 0 to {data.n - 1}.")
    folder = out or Path("look") / f"{data.name}-{data.version}"

    def texts(shown: Dataset) -> dict[str, str]:
        return _texts(shown, against)

    return write_dataset_page(data, folder, sounds=sounds, rows=row, texts=texts, wav=wav)


def _texts(data: Dataset, against: str | None) -> dict[str, str]:
    """What is known of a dataset in words: what `dataset show`, `log`, `card` and `diff` say."""
    import yaml

    from timbre_data.commands._dataset_text import difference_lines, log_lines, shortened
    from timbre_data.pipeline.store.card import card
    from timbre_data.pipeline.store.comparing import compare
    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.pipeline.store.versions import log, summary

    shown = {key: value for key, value in summary(data).items() if key != "address"}
    texts = {"Contents": yaml.safe_dump(shortened(shown), sort_keys=False, allow_unicode=True, width=100)}
    if not data.is_export:
        texts["History"] = "\n".join(log_lines(log(data.location)))
    texts["Card"] = card(data)
    if against is not None:
        texts[f"Against {against}"] = "\n".join(difference_lines(compare(Dataset(against), data)))
    return texts
