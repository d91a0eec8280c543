"""Commands that use a trained run: predict, export-model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from timbre_data.commands._shared import Group, Json, RunName, Trust, as_json_text, emit, group, numbers_of, say, warn
from timbre_data.schemas.errors import TimbreDataError, UsageError

app = group()
GROUP = Group(app, order=30)


@app.command(epilog="Example: timbre-data predict runs/autofx take.wav --dry clean.wav --out matched.wav")
def predict(
    run: RunName,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Sound files of any format, rate, channel count and number of notes."),
    ] = None,
    dry: Annotated[
        Path | None,
        typer.Option("--dry", help="Dry recording: its pitch is measured, and --out plays it through the effect."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="WAV file to write: the dry sound through the effect, the synth with these parameters, or the equalised file (a folder for several).",
        ),
    ] = None,
    effect: Annotated[
        str | None, typer.Option("--effect", help="Effect whose parameters to report. Default: the most probable.")
    ] = None,
    f0: Annotated[float | None, typer.Option("--f0", help="Fundamental frequency of the note in Hz, if known.")] = None,
    refine: Annotated[
        int,
        typer.Option(
            "--refine",
            min=0,
            help="Number of renders to search for a closer match, of an effect (with --dry) or a synth.",
        ),
    ] = 0,
    answers: Annotated[
        int,
        typer.Option(
            "--answers",
            min=0,
            max=64,
            help="Of a run that draws (inverse_flow): so many answers, played and the closest first, and what each knob may have been.",
        ),
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
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Read PCM (or a WAV file) from standard input as it comes, and print a line of JSON a note.",
        ),
    ] = False,
    stream_format: Annotated[
        str,
        typer.Option(
            "--stream-format",
            help="Samples of the stream: s16, s24, s32 or f32, rate and channels, such as s16:44100:2. Default: the run's rate, mono.",
        ),
    ] = "s16",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Predict what made sounds: effects and their settings, synth parameters, instruments, tags or phonemes."""
    from timbre_data.models.training.runs import find_run

    folder = find_run(run)
    if stream:
        if files or dry or out or effect or refine or answers or textgrid or at:
            raise UsageError("--stream takes no files and no other options than --stream-format.")
        _follow(folder, stream_format)
        return
    if not files:
        raise UsageError("give the sound files to predict, or --stream.")
    from timbre_data.models.inference import report
    from timbre_data.models.inference.predicting import PredictRequest, predict_file, predict_files

    request = PredictRequest(
        file=files[0],
        dry=dry,
        out=out,
        effect=effect,
        f0_hz=f0,
        refine=refine,
        answers=answers,
        textgrid=textgrid,
        at=None if at is None else numbers_of(at, "--at"),
    )
    if len(files) == 1:
        emit(*report.shown(predict_file(folder, request, say=say, warn=warn)), as_json)
        return
    told: list[dict[str, Any]] = []
    failed = 0
    for file, answer in zip(files, predict_files(folder, files, request, say=say, warn=warn), strict=True):
        if isinstance(answer, UsageError):
            failed += 1
            warn(str(answer))
            told.append({"file": str(file), "error": str(answer)})
        elif as_json:
            told.append(report.shown(answer)[0])
        else:
            emit(None, report.shown(answer)[1], as_json=False)
    if as_json:
        emit(told, "", as_json)
    if failed:
        raise TimbreDataError(f"{failed} of {len(files)} files could not be used.")


def _follow(folder: Path, text: str) -> None:
    """Print what is predicted of each note of standard input."""
    import sys

    from timbre_data.models.inference.note_stream import WIDTH, PcmFormat, predictions
    from timbre_data.models.inference.predictor import Predictor

    predictor = Predictor(folder)
    sample, *numbers = text.split(":")
    if sample not in WIDTH or len(numbers) > 2 or not all(one.isdigit() for one in numbers):
        raise UsageError(f"--stream-format {text}: give samples, rate and channels, such as s16:44100:2.")
    rate, channels = [*map(int, numbers), *[predictor.rate, 1][len(numbers) :]]
    for line in predictions(predictor, sys.stdin.buffer, PcmFormat(rate, channels, sample)):  # type: ignore[arg-type]  # one of WIDTH
        typer.echo(as_json_text(line))
        sys.stdout.flush()


@app.command("export-model", epilog="Example: timbre-data export-model runs/autofx --out autofx.pt2")
def export_model(
    run: RunName,
    out: Annotated[Path, typer.Option("--out", help="File to write (.pt2 or .onnx).")],
    embedding: Annotated[
        bool,
        typer.Option("--embedding", help="What the network makes of a sound before its outputs, as a feature vector."),
    ] = False,
    style: Annotated[
        bool,
        typer.Option("--style", help="Means and deviations of the channels of its inner layers, as a feature vector."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Export a run to one file that needs only torch: features and units included (see examples/standalone.py)."""
    from timbre_data.models.training.runs import find_run

    folder = find_run(run)
    from timbre_data.models.inference import standalone

    if embedding and style:
        raise UsageError("--embedding and --style are two vectors: export one after the other.")
    about = standalone.export_model(folder, out, vector="embedding" if embedding else "style" if style else None)
    emit(about, str(out), as_json)
