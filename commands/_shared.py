"""Shared by the command groups: option types, results on stdout, messages on stderr, the cluster of a build."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from timbre_data.schemas.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.build.engine import Cluster
    from timbre_data.pipeline.catalogue.registry import Registry

HELP = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True)
class Group:
    """A group of commands: a Typer app, under `name`, or with "" at the top level. `order` is its place in `--help`."""

    app: typer.Typer
    order: int
    name: str = ""


def group(help_text: str = "") -> typer.Typer:
    """An empty group; one with a name of its own has a help text."""
    return typer.Typer(
        help=help_text or None, no_args_is_help=bool(help_text), rich_markup_mode=None, context_settings=HELP
    )


Json = Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, without doing it.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Number of worker threads. Default: one per core.")]
Scheduler = Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler: tcp://host:port.")]
Patience = Annotated[
    float,
    typer.Option(
        "--patience", help="Seconds to wait for a scheduler or worker that does not answer, before giving up."
    ),
]
AllowMixed = Annotated[
    bool,
    typer.Option("--allow-mixed", help="Accept workers with other code or packages, and record them in the dataset."),
]


def _trust(value: bool) -> bool:
    if value:
        from timbre_data.pipeline.synths.hosting.trust import trust

        trust()
    return value


Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        callback=_trust,
        help="Start programs, load plug-ins and open addresses that a dataset, recipe, run or file names (see SECURITY.md).",
    ),
]
Batch = Annotated[
    int | None, typer.Option("--batch", help="Rows per task, a multiple of 256. Default: chosen by size.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting: --set n=100, --set audio.rate=44100. Repeatable."),
]
DatasetName = Annotated[
    str, typer.Argument(help="Dataset: name, path or s3:// address; @TAG or @SNAPSHOT selects a version.")
]
RunName = Annotated[str, typer.Argument(help="Training run: folder or name.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all random numbers.")]


def emit(data: Any, text: str, as_json: bool) -> None:
    """Print a result on stdout: as JSON (null for numbers that are not finite), or as text."""
    typer.echo(as_json_text(data, indent=2) if as_json else text)


def as_json_text(data: Any, indent: int | None = None) -> str:
    """A result as JSON, in one line without `indent`."""
    return json.dumps(_finite(data), indent=indent, default=str, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def say(line: str) -> None:
    """Print a message on stderr; names of files that are not UTF-8 are shown with escapes."""
    typer.echo(line.encode("utf-8", "backslashreplace").decode(), err=True)


def warn(message: str) -> None:
    """Print a one-line warning or error on stderr."""
    say(f"timbre-data: {' '.join(message.split())}")


def resume_command() -> str:
    """The command line that was given, quoted for a shell."""
    return "timbre-data " + shlex.join(sys.argv[1:])


def cluster_of(workers: int | None, scheduler: str | None, batch: int | None, **options: Any) -> Cluster:
    """The cluster that the options ask for."""
    from timbre_data.pipeline.build.engine import Cluster

    return Cluster.of(workers, scheduler, batch, **options)


def names_of(text: str | None, registry: Registry[Any]) -> list[str] | None:
    """The members of a comma-separated list, files among them. Raises `UnknownNameError`."""
    return None if text is None else [known(part.strip(), registry) for part in text.split(",")]


def known(text: str, registry: Registry[Any]) -> str:
    """A member's name as written, or that of its file. Raises `UnknownNameError`, before anything heavy is imported."""
    name = registry.resolve(text)
    if name not in registry:
        raise UnknownNameError(registry.kind, name, registry.names())
    return name


def refuse_files_of_a_file(name: str, where: str) -> None:
    """Raise `UsageError` for a Python file that a file of settings names: only one that is named on the command line is
    run.
    """
    if name.endswith(".py"):
        raise UsageError(
            f"{where}: {name} is a Python file, which runs only if you name it yourself: write its name without .py there, and add --use {name} before the command."
        )


def check_datasets(names: Iterable[str]) -> None:
    """Raise `NotFoundError` for a local dataset that does not exist, before anything heavy is imported."""
    from timbre_data.pipeline.store.location import check_exists

    for name in names:
        check_exists(name)


def numbers_of(text: str | None, option: str) -> dict[str, float]:
    """The numbers of `name=value,name=value`. Raises `UsageError`."""
    numbers: dict[str, float] = {}
    for part in text.split(",") if text else []:
        name, _, value = part.partition("=")
        try:
            numbers[name.strip()] = float(value)
        except ValueError:
            raise UsageError(f"{option} {part}: expected name=number, for example gain_db=6.") from None
    return numbers


def markdown_lines(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns, the first as wide as its longest entry."""
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in pairs)
