"""Commands that use a trained run: predict, export-model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from timbre_data.commands._shared import Group, Json, RunName, Trust, emit, group, numbers_of, say, warn

app = group()
GROUP = Group(app, order=30)


@app.command(epilog="Example: timbre-data predict runs/autofx take.wav --dry clean.wav --out matched.wav")
def predict(
    run: RunName,
    file: Annotated[Path, typer.Argument(help="Sound file of any format, rate, channel count and number of notes.")],
    dry: Annotated[
        Path | None,
        typer.Option("--dry", help="Dry recording: its pitch is measured, and --out plays it through the effect."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="WAV file to write: the dry sound through the effect, the synth with these parameters, or the equalised file.",
        ),
    ] = None,
    effect: Annotated[
        str | None, typer.Option("--effect", help="Effect whose parameters to report. Default: the most probable.")
    ] = None,
    f0: Annotated[float | None, typer.Option("--f0", help="Fundamental frequency of the note in Hz, if known.")] = None,
    refine: Annotated[
        int, typer.Option("--refine", min=0, help="With --dry: number of renders to search for a closer match.")
    ] = 0,
    textgrid: Annotated[
        Path | None, typer.Option("--textgrid", help="Praat TextGrid to write, for runs that label frames.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Setting of a learned equaliser: --effect peaking --at gain_db=6,frequency_hz=800,q=1"
        ),
    ] = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Predict what made a sound: effects and their settings, synth parameters, instruments, tags or phonemes."""
    from timbre_data.models.training.runs import find_run

    folder = find_run(run)
    from timbre_data.models.inference import report
    from timbre_data.models.inference.predicting import PredictRequest, predict_file

    request = PredictRequest(
        file=file,
        dry=dry,
        out=out,
        effect=effect,
        f0_hz=f0,
        refine=refine,
        textgrid=textgrid,
        at=None if at is None else numbers_of(at, "--at"),
    )
    result = predict_file(folder, request, say=say, warn=warn)
    emit(*report.shown(result), as_json)


@app.command("export-model", epilog="Example: timbre-data export-model runs/autofx --out autofx.pt2")
def export_model(
    run: RunName,
    out: Annotated[Path, typer.Option("--out", help="File to write (.pt2).")],
    as_json: Json = False,
) -> None:
    """Export a run to one file that needs only torch: features and units included (see examples/standalone.py)."""
    from timbre_data.models.training.runs import find_run

    folder = find_run(run)
    from timbre_data.models.inference import standalone

    about = standalone.export_model(folder, out)
    emit(about, str(out), as_json)
