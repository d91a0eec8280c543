"""The command that opens the recogniser."""

from __future__ import annotations

from typing import Annotated

import typer

from timbre_data.commands._serving import check_port
from timbre_data.commands._shared import Group, Trust, group, say
from timbre_data.schemas.errors import UsageError

app = group()
GROUP = Group(app, order=47)


@app.command("app", epilog="Example: timbre-data app autofx-211C inverse")
def recogniser(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Training runs: folders or names.")],
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on this machine.")] = 8720,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    trust: Trust = False,
) -> None:
    """Open the recogniser: a local page that tells what made a sound, and plays it."""
    import tempfile
    from pathlib import Path

    from timbre_data.models.training.runs import find_run

    folders = [find_run(run) for run in runs]
    if len({folder.name for folder in folders}) < len(folders):
        raise UsageError("two of these runs have one name: give runs of different names.")
    try:
        from timbre_data.commands.application import application_server as server
    except ImportError:
        raise UsageError("the app needs the extra listen: pip install 'timbre-data[listen]'.") from None
    from timbre_data.commands.pages.page_folder import page_folder

    check_port("127.0.0.1", port)
    with tempfile.TemporaryDirectory(prefix="timbre-data-page-") as folder:
        page = Path(folder) / "page"
        with page_folder(page, "app"):
            pass

        def started() -> None:
            address = f"http://127.0.0.1:{port}/"
            say(f"the recogniser is at {address} ; stop with Ctrl-C")
            if browser:
                import webbrowser

                webbrowser.open(address)

        server.serve(folders, page, port, started)
