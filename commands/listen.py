"""Commands for listening tests: make, serve, analyse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from timbre_data.commands._serving import LOOPBACK, check_port
from timbre_data.commands._shared import Group, Json, RunName, Trust, emit, group, say, warn
from timbre_data.schemas.errors import UsageError

app = group("Listening tests of a run: make, serve, analyse.")
GROUP = Group(app, order=46, name="listen")
KINDS = ("mushra", "abx", "pairwise")
TestFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that timbre-data listen make wrote.")]


@app.command("make", epilog="Example: timbre-data listen make pedal --conditions predicted,mean,random --trials 12")
def make(
    run: RunName,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write. Default: listen/RUN-KIND.")] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="mushra (rate all), abx (tell apart), or pairwise (which is closer).")
    ] = "mushra",
    conditions: Annotated[
        str, typer.Option("--conditions", help="Comma-separated: predicted, refined, mean, random, dry.")
    ] = "predicted,mean,random",
    trials: Annotated[int, typer.Option("--trials", min=1, max=100, help="Number of rows to listen to.")] = 12,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Make a listening test of a run: a page that works from a folder or a server, and the key to its answers."""
    from timbre_data.models.training.runs import find_run

    if kind not in KINDS:
        raise UsageError(f"--kind {kind}: choose {', '.join(KINDS)}.")
    from timbre_data.commands.listening.listening_test import Kind, make_test

    folder = find_run(run)
    chosen = [one.strip() for one in conditions.split(",") if one.strip()]
    made = make_test(
        folder, out or Path("listen") / f"{folder.name}-{kind}", kind=cast(Kind, kind), conditions=chosen, trials=trials
    )
    say(
        f"next: timbre-data listen serve {Path(made.key).parent}, or send the folder {Path(made.page).parent}; keep {made.key} to yourself"
    )
    text = f"{made.page}: {made.kind}, {made.trials} trials, {made.sounds} sounds at {made.loudness_lufs:.1f} LUFS"
    emit(vars(made), text, as_json)


@app.command("serve", epilog="Example: timbre-data listen serve listen/pedal-mushra")
def serve(
    folder: TestFolder,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; another than this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port.")] = 8710,
) -> None:
    """Serve a listening test and keep its answers, until Ctrl-C."""
    import secrets

    from timbre_data.commands.listening.listening_test import read_key

    read_key(folder)
    try:
        from timbre_data.commands.listening import listening_server as server
    except ImportError:
        raise UsageError("listen serve needs the extra listen: pip install 'timbre-data[listen]'.") from None
    check_port(host, port)
    token = None if host in LOOPBACK else secrets.token_urlsafe(16)
    address = f"http://{host}:{port}/" + (f"?token={token}" if token else "")
    say(f"listeners open {address} ; answers go to {folder / 'answers.sqlite'}; stop with Ctrl-C")
    server.serve(folder, host, port, token)


@app.command("analyse", epilog="Example: timbre-data listen analyse listen/pedal-mushra answers-*.json")
def analyse(
    folder: TestFolder,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="ANSWERS", help="Files of answers that listeners downloaded.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Analyse the answers to a listening test: post-screening, means with intervals, tests, and which distance follows
    the ear.
    """
    from timbre_data.commands.listening.analysis import FOLDER
    from timbre_data.commands.listening.analysis import analyse as analyse_answers
    from timbre_data.commands.listening.answers import read_answers
    from timbre_data.commands.listening.listening_test import read_key

    key = read_key(folder)
    answers, refused = read_answers(folder, key, files or [])
    for line in refused[:5]:
        warn(f"left out: {line}")
    if len(refused) > 5:
        warn(f"left out: {len(refused) - 5} more answers that do not fit the test")
    result = analyse_answers(key, answers, folder)
    say(f"tables, metrics and pictures are in {folder / FOLDER}")
    emit(result.metrics, result.markdown(), as_json)
