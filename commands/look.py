"""Commands that show what was made: the page of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from timbre_data.commands._shared import DatasetName, Group, Json, emit, group, say, warn
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

app = group()
GROUP = Group(app, order=45)


@app.command(epilog="Example: timbre-data look distortion --row 17 --row 99")
def look(
    dataset: DatasetName,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the page. Default: look/NAME-VERSION.")] = None,
    sounds: Annotated[int, typer.Option("--sounds", min=0, help="Number of rows whose sounds are on the page.")] = 200,
    row: Annotated[list[int] | None, typer.Option("--row", help="Row whose sound is on the page. Repeatable.")] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="Other dataset or version, to say how they differ.")
    ] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Make the page of a dataset: rows to hear and see, labels, map, checks; a folder that opens without a server."""
    from timbre_data.pipeline.store.location import check_exists

    check_exists(dataset)
    if against is not None:
        check_exists(against)
    from timbre_data.commands.pages.dataset_page import write_dataset_page
    from timbre_data.pipeline.store.reader import Dataset

    data = Dataset(dataset)
    wrong = sorted({one for one in row or () if not 0 <= one < data.n})
    if wrong:
        raise UsageError(f"--row {wrong[0]}: {data.name} has rows 0 to {data.n - 1}.")
    folder = out or Path("look") / f"{data.name}-{data.version}"

    def texts(shown: Dataset) -> dict[str, str]:
        return _texts(shown, against)

    report = write_dataset_page(data, folder, sounds=sounds, rows=row or (), texts=texts)
    for warning in report.warnings:
        warn(warning)
    if browser:
        import webbrowser

        webbrowser.open(Path(report.page).absolute().as_uri())
    say(f"open {report.page} in a browser")
    text = f"{report.page}: {report.rows} rows, {report.sounds} with sound, {report.bytes / 1e6:.1f} MB"
    emit(vars(report), text, as_json)


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
