"""Commands that show what there is: list, show, check, doctor."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from timbre_data.commands._shared import Group, Json, Settings, Trust, emit, group, markdown_lines
from timbre_data.schemas.errors import UnknownNameError

app = group()
GROUP = Group(app, order=50)
PLURALS = "effects, synths, sources, features, importers, exporters, models, baselines, targets, distances, commands, recipes, profiles, trainings or tables"


@app.command("list", epilog="Example: timbre-data list effects")
def list_members(
    kind: Annotated[str, typer.Argument(help=f"{PLURALS[0].upper()}{PLURALS[1:]}.")] = "effects",
    as_json: Json = False,
) -> None:
    """List the members of a kind, with a summary of each."""
    from timbre_data.commands._kinds import kind_of

    members = kind_of(kind)
    summaries = {name: members.summary(name) for name in members.names}
    data = [{"name": name, "summary": summary} for name, summary in summaries.items()]
    emit(data, markdown_lines(summaries.items()), as_json)


@app.command("show", epilog="Example: timbre-data show effect distortion")
def show_member(
    kind: Annotated[str, typer.Argument(help="Kind of member, as in timbre-data list.")],
    name: Annotated[str, typer.Argument(help="Name of the member.")],
    as_json: Json = False,
) -> None:
    """Show one member: parameters with units and ranges, settings, parameter counts."""
    import yaml

    from timbre_data.commands._kinds import REGISTRIES, kind_of
    from timbre_data.pipeline.catalogue import shipped

    singular = kind_of(kind).name
    if singular == "synth" and name in shipped.shipped("profile"):
        singular = "profile"  # what render --synth takes, show shows
    if singular in shipped.FILES:
        files = shipped.shipped(singular)
        if name not in files:
            raise UnknownNameError(singular, name, files)
        text = files[name].read_text(encoding="utf-8").rstrip()
        emit(yaml.safe_load(text), text, as_json)
        return
    if name not in REGISTRIES[singular]:
        raise UnknownNameError(singular, name, REGISTRIES[singular].names())
    from timbre_data.commands._describe import describe

    data = describe(singular, name)
    emit(data, yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120).rstrip(), as_json)


@app.command("check", epilog="Example: timbre-data check ./ring.py")
def check(
    file: Annotated[
        str,
        typer.Argument(help="Python file with a member of your own, or a synth profile (YAML). Python files are run."),
    ],
    settings: Settings = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Check a member of your own against the contract of its kind. Exit code 1 if a check fails."""
    from timbre_data.commands._kinds import use_file
    from timbre_data.pipeline.catalogue import validation

    options = validation.override({}, settings or [])
    if file.endswith((".yaml", ".yml")):
        kind, name = "profile", file
    else:
        kind, name = use_file(file)
    from timbre_data.commands.contracts import CONTRACTS

    outcomes = list(CONTRACTS.load(kind)(name, options).outcomes())
    failed = [one for one in outcomes if one.problem]
    data: list[dict[str, Any]] = [
        {"check": one.check, "ok": not one.problem, "problem": one.problem} for one in outcomes
    ]
    lines = [f"ok      {one.check}" if not one.problem else f"FAILED  {one.check}: {one.problem}" for one in outcomes]
    lines.append(f"{kind} {name}: {len(outcomes) - len(failed)} of {len(outcomes)} checks passed")
    emit(data, "\n".join(lines), as_json)
    if failed:
        raise typer.Exit(1)


@app.command("doctor", epilog="Example: timbre-data doctor")
def doctor(as_json: Json = False) -> None:
    """Report what works on this machine, and what to install for the rest."""
    from timbre_data.commands._machine import check_machine

    checks = check_machine()
    text = "\n".join(f"{'ok     ' if one['ok'] else 'missing'}  {one['what']}: {one['detail']}" for one in checks)
    emit(checks, text, as_json)
