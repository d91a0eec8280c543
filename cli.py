"""The command line: parse, call one function, print. Heavy imports wait until a command runs."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from timbre_data.schemas.errors import AbandonedBuildError, TimbreDataError, UsageError

HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    name="timbre-data",
    help="Datasets of timbre with labels to trust: render, featurize, train, evaluate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
dataset_app = typer.Typer(
    help="Look after datasets: list, show, log, tag, verify, export, gc.", no_args_is_help=True, context_settings=HELP
)
app.add_typer(dataset_app, name="dataset")
synth_app = typer.Typer(
    help="Look after synths: inspect a plug-in, hear a synth.", no_args_is_help=True, context_settings=HELP
)
app.add_typer(synth_app, name="synth")

Json = Annotated[bool, typer.Option("--json", help="Print JSON only on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Worker threads; by default one per core.")]
Scheduler = Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler, tcp://host:port.")]
Batch = Annotated[int | None, typer.Option("--batch", help="Rows per task, a multiple of 256.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a field of what the command takes: --set n=100, --set audio.rate=44100. Repeatable."
    ),
]
Home = Annotated[str, typer.Argument(help="Name, path or s3:// address, with @tag or @snapshot for an older version.")]


def emit(data: Any, text: str, as_json: bool) -> None:
    """Print a result: JSON (null for what is no finite number), or text for people."""
    typer.echo(json.dumps(_finite(data), indent=2, default=str, allow_nan=False) if as_json else text)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def main() -> None:
    """Run the command line; every foreseen error becomes one line on stderr and an exit code."""
    from typer import BadParameter  # whose parents are click's exceptions: typer's own copy of click, or click itself

    click_exception: Any = BadParameter.__mro__[2]
    try:
        code = app(standalone_mode=False)
    except click_exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            code = 2
        else:
            code = _say(error.format_message(), 2)
    except AbandonedBuildError as error:
        from timbre_data.pipeline.build.engine import leave_at_once

        leave_at_once(_say(str(error), error.exit_code))
    except TimbreDataError as error:
        code = _say(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        code = _say("stopped.", 130)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code or 0)


def _say(message: str, code: int) -> int:
    typer.echo(f"timbre-data: {' '.join(message.split())}", err=True)
    return code


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"timbre-data {version('timbre-data')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Datasets of timbre with labels to trust: render, featurize, train, evaluate."""


def _values(text: str | None) -> dict[str, float]:
    """Numbers of `name=value,name=value`."""
    found: dict[str, float] = {}
    for part in (text or "").split(",") if text else []:
        name, equals, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"--at {part}: expected name=number, for example gain_db=6.")
    return found


def _cluster(workers: int | None, scheduler: str | None, batch: int | None) -> Any:
    from timbre_data.pipeline.build.engine import Cluster

    return Cluster(**({"workers": workers} if workers is not None else {}), scheduler=scheduler, batch=batch)


def _again() -> str:
    import shlex

    return "timbre-data " + shlex.join(sys.argv[1:])


@app.command(epilog="Example: timbre-data render --fx distortion --n 37440")
def render(
    fx: Annotated[str | None, typer.Option("--fx", help="An effect: its shipped recipe, or all defaults.")] = None,
    synth: Annotated[
        str | None,
        typer.Option("--synth", help="A synth, or a profile of an external one: its recipe, or all defaults."),
    ] = None,
    eq: Annotated[
        str | None,
        typer.Option("--eq", help="Pairs for end-to-end equalisation: shelving, peaking, lowpass, highpass or any."),
    ] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="A recipe: YAML file or shipped name.")] = None,
    n: Annotated[int | None, typer.Option("--n", help="Number of rows.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")] = None,
    rate: Annotated[int | None, typer.Option("--rate", help="Sampling rate in Hz.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Source of dry sound.")] = None,
    out: Annotated[
        str | None, typer.Option("--out", help="Name, path or address of the dataset; by default the recipe's name.")
    ] = None,
    settings: Settings = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    batch: Batch = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Mark rows that fail and go on.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Render a dataset: random parameters, known labels. The same command again resumes; a larger --n grows."""
    from timbre_data.pipeline.build import recipes, rendering
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.store.repository import locate

    if [fx, synth, eq, recipe].count(None) != 3:
        raise UsageError(
            "give one of --fx NAME, --synth NAME, --eq NAME and --recipe FILE; see timbre-data list effects, and synths."
        )
    if eq is not None:
        recipe = recipes.for_equaliser(eq)
    data = recipes.for_effect(fx) if fx else recipes.for_synth(synth) if synth else recipes.read(recipe or "")
    short = {"n": n, "seed": seed, "audio.rate": rate, "source": {"name": source} if source else None}
    data = validation.override(data, {key: value for key, value in short.items() if value is not None})
    resolved = recipes.load(validation.override(data, settings or []))
    location = locate(out or resolved.name)
    cluster = _cluster(workers, scheduler, batch)
    with bar(enabled=not dry_run, again=_again()) as progress:
        report = rendering.render(
            resolved, location, cluster, progress=progress, dry_run=dry_run, keep_going=keep_going
        )
    emit(vars(report), _told(report, dry_run), as_json)
    if report.failed:
        typer.echo(f"timbre-data: {len(report.failed)} rows failed: {report.failed[0]}", err=True)
        raise typer.Exit(1)


def _told(report: Any, dry_run: bool) -> str:
    if dry_run:
        size = f", about {report.estimated_bytes / 1e9:.2f} GB before compression" if report.estimated_bytes else ""
        return f"{report.dataset}: would do {report.rows} of {report.total} rows ({report.reason}){size}"
    version = f", version {report.version}" if report.version else ""
    redrawn = f", {report.rejected} draws rejected" if report.rejected else ""
    return f"{report.dataset}: {report.reason}, {report.rows} new of {report.total} rows{redrawn}{version}"


@app.command("import", epilog="Example: timbre-data import idmt-smt-audio-effects ~/IDMT --set parts=[guitar]")
def import_(
    importer: Annotated[str, typer.Argument(help="A public dataset; see timbre-data list importers.")],
    path: Annotated[str, typer.Argument(help="The folder it was unpacked into.")],
    out: Annotated[
        str | None, typer.Option("--out", help="Name, path or address; by default the importer's name.")
    ] = None,
    rate: Annotated[int | None, typer.Option("--rate", help="Sampling rate in Hz.")] = None,
    settings: Settings = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    batch: Batch = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Leave out what cannot be used and go on.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import a public dataset: every file checked, decoded, cut to its onset, resampled and labelled."""
    from timbre_data.pipeline.build import importing
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import registry, validation
    from timbre_data.pipeline.store.repository import locate

    registry.load("importer", importer)
    changes = validation.override({}, settings or [])
    audio = changes.pop("audio", {}) | ({"rate": rate} if rate is not None else {})
    with bar(enabled=not dry_run, again=_again()) as progress:
        report = importing.import_dataset(
            importer,
            changes | {"path": path},
            locate(out or importer.replace("_", "-")),
            _cluster(workers, scheduler, batch),
            audio=audio,
            progress=progress,
            keep_going=keep_going,
            dry_run=dry_run,
        )
    emit(vars(report), _told(report, dry_run), as_json)
    if report.failed:
        typer.echo(f"timbre-data: {len(report.failed)} recordings left out: {report.failed[0]}", err=True)


@app.command(epilog="Example: timbre-data featurize distortion --features autofx163,logmel")
def featurize(
    dataset: Home,
    features: Annotated[
        str | None, typer.Option("--features", help="Comma-separated; by default those of the recipe.")
    ] = None,
    settings: Settings = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    batch: Batch = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compute features and spectrograms of every row and store them beside the sounds (--set logmel.n_mels=80)."""
    from timbre_data.pipeline.build import featurizing
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.pipeline.store.repository import locate

    names = [name.strip() for name in features.split(",")] if features else list(Dataset(dataset).recipe.features)
    changes = validation.override({}, settings or [])
    if stray := [name for name in changes if name not in names]:
        raise UsageError(
            f"--set {stray[0]}...: not a feature asked for here; write --set FEATURE.FIELD=VALUE with one of {', '.join(names)}."
        )
    with bar(enabled=not dry_run, again=_again()) as progress:
        reports = featurizing.featurize(
            locate(dataset),
            {name: changes.get(name) or {} for name in names},
            _cluster(workers, scheduler, batch),
            progress=progress,
            dry_run=dry_run,
        )
    emit([vars(report) for report in reports], "\n".join(_told(report, dry_run) for report in reports), as_json)


@app.command(
    epilog="Example: timbre-data train regressor-mlp --data modulation,delay,distortion --features autofx163,autofx48"
)
def train(
    model: Annotated[
        str, typer.Argument(help="A model (see timbre-data list models), or a YAML file of settings with one.")
    ],
    data: Annotated[
        str | None, typer.Option("--data", help="Datasets, comma-separated, each with @tag or @snapshot if wanted.")
    ] = None,
    features: Annotated[
        str | None, typer.Option("--features", help="Comma-separated; by default the model's own.")
    ] = None,
    conditioning: Annotated[
        str | None,
        typer.Option("--conditioning", help="Run of a classifier whose probabilities are added to the input."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="note (honest, the default) or row (the paper's, which leaks).")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="A classifier learns: effect, family, effects (all of a chain), tags or frames; by default what there is: frames for networks of those, tags where there are some, else effect.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run; by default from the settings.")] = None,
    seed: Annotated[int | None, typer.Option("--seed")] = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a model on stored features. The same command again resumes; a finished run is left alone."""
    from timbre_data.models.training import train
    from timbre_data.pipeline.build import recipes
    from timbre_data.pipeline.catalogue import registry, validation
    from timbre_data.schemas.settings import TrainSettings

    given: dict[str, Any] = (
        recipes.read_settings(Path(model)) if model.endswith((".yaml", ".yml")) else {"model": model}
    )
    registry.load("model", str(given["model"]))
    said = {
        "data": data,
        "features": features,
        "conditioning": conditioning,
        "split": split,
        "target": target,
        "seed": seed,
    }
    given |= {key: value for key, value in said.items() if value is not None}
    if "data" not in given:
        raise UsageError("give the datasets to learn from: --data NAME.")
    checked = validation.validate(TrainSettings, validation.override(given, settings or []), "train")
    folder, done = train.train(checked, name=name, say=lambda line: typer.echo(line, err=True), dry_run=dry_run)
    if done != "trained":
        typer.echo(f"{folder}: {done}", err=True)
    emit({"run": str(folder), "done": done}, str(folder), as_json)


@app.command("design-filters", epilog="Example: timbre-data design-filters sung-phonemes --out filters.yaml")
def design_filters(
    data: Home,
    model: Annotated[str, typer.Option("--model", help="The model whose first layer is designed.")] = "jingju-proposed",
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write the settings file (YAML), for timbre-data train FILE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure how far a dataset's sounds reach in frequency and time, and propose first-layer filter shapes."""
    from timbre_data.models.studies import filter_design

    found = filter_design.design(data, model)
    if out is not None:
        filter_design.write(found, out)
        typer.echo(f"settings in {out}: timbre-data train {out}", err=True)
    emit(found.settings | {"parameters": found.parameters}, found.table.markdown(), as_json)


@app.command(
    epilog="Example: timbre-data search inverse-synth --data inverse12 --grid learning_rate=\\[1e-2,1] --repeats 3"
)
def search(
    model: Annotated[str, typer.Argument(help="A model; see timbre-data list models.")],
    data: Annotated[str, typer.Option("--data", help="Datasets, comma-separated.")],
    grid: Annotated[
        list[str], typer.Option("--grid", help="A field and its values: --grid learning_rate=[1e-3,1e-4]. Repeatable.")
    ],
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Seeds for every combination.")] = 3,
    name: Annotated[str, typer.Option("--name", help="Name of the search; its runs are below.")] = "search",
    features: Annotated[
        str | None, typer.Option("--features", help="Comma-separated; by default the model's own.")
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Train every combination of a grid, with several seeds. The same command again resumes."""
    from timbre_data.models.studies import grid_search as searching
    from timbre_data.pipeline.catalogue import registry, validation

    registry.load("model", model)
    chosen = validation.read_grid(grid)
    given = validation.override({"model": model, "data": data, "features": features}, settings or [])
    found = searching.search(given, chosen, repeats, name, say=lambda line: typer.echo(line, err=True))
    emit({"folder": str(found.folder), "results": list(found.results)}, found.table.markdown(), as_json)


@app.command(epilog="Example: timbre-data evaluate runs/regressor-mlp-distortion-1a2b3c")
def evaluate(
    run: Annotated[str, typer.Argument(help="A run: its folder or its name.")],
    on: Annotated[str, typer.Option("--on", help="Which split: train, validation or test.")] = "test",
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Evaluate although notes are in training and test.")
    ] = False,
    sounds: Annotated[
        int,
        typer.Option(
            "--sounds",
            min=0,
            help="Put the predictions of so many rows back through the effect; of an equaliser, score so many notes.",
        ),
    ] = 48,
    as_json: Json = False,
) -> None:
    """Evaluate a run: tables beside the paper's, plots, and the sounds that the predictions make."""
    from timbre_data.models.studies.evaluate import evaluate as evaluate_run
    from timbre_data.models.training import runs

    found = evaluate_run(runs.find_run(run), split=on, allow_leak=allow_leak, sound_rows=sounds)
    typer.echo(f"tables, plots and predictions are in {found.folder}", err=True)
    emit(found.metrics, found.markdown(), as_json)


@app.command(epilog="Example: timbre-data compare effects11 --against effects11-analogue")
def compare(
    data: Annotated[str, typer.Argument(help="Datasets, comma-separated, with autofx163 features.")],
    against: Annotated[
        str, typer.Option("--against", help="Datasets of another generator: does what is learned carry over?")
    ] = "",
    models: Annotated[
        str | None, typer.Option("--models", help="Comma-separated; see timbre-data list baselines. Also class-mlp.")
    ] = None,
    target: Annotated[str, typer.Option("--target", help="effect, or family (the six aggregated classes).")] = "effect",
    folds: Annotated[int, typer.Option("--folds", help="Folds of the cross-validation by dry note.")] = 9,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run; by default from the settings.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Compare classifiers: accuracy, cost, confusion, which features matter, and another generator's sounds."""
    from timbre_data.models.studies.comparison import compare as compare_classifiers
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.schemas.settings import CompareSettings

    given: dict[str, Any] = {"data": data, "target": target, "folds": folds, "seed": seed}
    given |= {"against": against} if against else {}
    given |= {"models": models} if models else {}
    checked = validation.validate(CompareSettings, validation.override(given, settings or []), "compare")
    found = compare_classifiers(checked, name=name, say=lambda line: typer.echo(line, err=True))
    typer.echo(f"tables and plots are in {found.folder}", err=True)
    emit(found.metrics, found.markdown(), as_json)


@app.command(epilog="Example: timbre-data predict runs/autofx take.wav --dry clean.wav --out matched.wav")
def predict(
    run: Annotated[str, typer.Argument(help="A trained run: a classifier, or a regressor with or without one.")],
    file: Annotated[Path, typer.Argument(help="A sound file: any format, rate, channels; one note or many.")],
    dry: Annotated[
        Path | None,
        typer.Option("--dry", help="The dry recording: pitch is measured on it, and it is played through the effect."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Where to write a sound (WAV): the dry sound through the effect, the synth with these knobs, or what a learned equaliser makes of the file.",
        ),
    ] = None,
    effect: Annotated[
        str | None, typer.Option("--effect", help="Take this effect's parameters instead of the most probable one's.")
    ] = None,
    f0: Annotated[float | None, typer.Option("--f0", help="Pitch of the note in Hz, where known.")] = None,
    refine: Annotated[
        int, typer.Option("--refine", min=0, help="With --dry: search so many settings for one that sounds closer.")
    ] = 0,
    textgrid: Annotated[
        Path | None, typer.Option("--textgrid", help="Where to write a phoneme track, as a Praat TextGrid.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Settings of an equaliser that has some: --effect peaking --at gain_db=6,frequency_hz=800,q=1"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what made a sound: effect and settings (with the dry sound, write the match), knobs of a synth, instruments, tags or phonemes."""
    from timbre_data.models.inference import matching, processing, report
    from timbre_data.models.inference.predictor import Predictor
    from timbre_data.models.training import runs

    folder = runs.find_run(run)
    if processing.is_transformation(folder):
        if out is None:
            raise UsageError("this run maps sounds to sounds: say where to write with --out OUT.wav.")
        done = processing.process_file(folder, file, out, effect, _values(at))
        emit(done, processing.as_text(done), as_json)
        return
    if at is not None:
        raise UsageError("--at is for runs that map sounds to sounds.")
    predictor = Predictor(folder)
    if textgrid is not None and not predictor.of_frames:
        raise UsageError(f"--textgrid is for runs that name phonemes; {run} learned {predictor.trained.target}.")
    if out is not None and predictor.of_frames:
        raise UsageError("--out writes sounds; a phoneme track is written with --textgrid.")
    if (out is not None or refine or effect is not None) and predictor.trained.task != "regression":
        raise UsageError(
            f"{run} says what there is, not with which settings: --out, --refine and --effect need a regressor."
        )
    if out is not None and dry is None and not predictor.of_a_synth:
        raise UsageError("--out needs the dry sound to play through the effect: give it with --dry.")
    found = predictor.predict(file, f0_hz=float("nan") if f0 is None else f0, dry=dry)
    steps = predictor.steps(found, effect) if found.parameters else []
    if refine and dry is None:
        raise UsageError("--refine needs the dry sound to compare with: give it with --dry.")
    if refine and dry is not None:
        steps = matching.refine(predictor, steps, file, dry, refine)
    if predictor.needs_pitch and f0 is None and dry is None:
        typer.echo(
            "timbre-data: this run learned with known pitches; give --f0 or --dry, or train on autofx163_sound for recordings.",
            err=True,
        )
    if out is not None and predictor.of_a_synth:
        matching.write_played(predictor, found, out)
        typer.echo(f"the synth with these knobs in {out}, playing the first note of its dataset", err=True)
    elif out is not None and dry is not None:
        matching.write_match(dry, steps, out)
        typer.echo(f"matched sound in {out}", err=True)
    if textgrid is not None:
        report.write_textgrid(found, textgrid)
        typer.echo(f"phonemes in {textgrid}", err=True)
    emit(report.as_data(found, steps), report.as_text(found, steps), as_json)


@app.command(epilog="Example: timbre-data finetune runs/autofx-211C --on distortion-soundfont")
def finetune(
    run: Annotated[str, typer.Argument(help="A trained regressor over features.")],
    on: Annotated[str, typer.Option("--on", help="An out-of-domain dataset with the same parameters and features.")],
    steps: Annotated[int, typer.Option("--steps", min=2, help="Steps of each stage.")] = 150,
    sounds: Annotated[int, typer.Option("--sounds", min=1, help="Held-out sounds to measure on.")] = 48,
    evaluations: Annotated[int, typer.Option("--evaluations", min=8, help="Renders of each search.")] = 160,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Learn from sounds through the real effect, and search at inference time: what helps out of domain?"""
    from timbre_data.models.studies import finetuning
    from timbre_data.models.training import runs

    result, table = finetuning.study(
        runs.find_run(run),
        on,
        steps=steps,
        test_rows=sounds,
        evaluations=evaluations,
        seed=seed,
        cluster=_cluster(workers, None, None),
        say=lambda line: typer.echo(line, err=True),
    )
    emit(result, table.markdown(), as_json)


@app.command("export-model", epilog="Example: timbre-data export-model runs/autofx --out autofx.pt2")
def export_model(
    run: Annotated[str, typer.Argument(help="A trained run.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write (.pt2).")],
    as_json: Json = False,
) -> None:
    """Write a run as one file that needs only torch: features and units inside (see examples/standalone.py)."""
    from timbre_data.models.inference import standalone
    from timbre_data.models.training import runs

    about = standalone.export_model(runs.find_run(run), out)
    emit(about, str(out), as_json)


@app.command(epilog="Example: timbre-data run datasets/recipes/autofx-small.yaml")
def run(
    recipe: Annotated[str, typer.Argument(help="A chained recipe: YAML file or shipped name.")],
    settings: Settings = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Render, featurize, train and evaluate as a recipe says. What is up to date is skipped."""
    from timbre_data.models.studies.chained import run_chain
    from timbre_data.pipeline.build import recipes
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.schemas.settings import PipelineRecipe

    checked = validation.validate(PipelineRecipe, validation.override(recipes.read(recipe), settings or []), recipe)
    with bar(enabled=not dry_run, again=_again()) as progress:
        report = run_chain(
            checked,
            _cluster(workers, scheduler, None),
            progress=progress,
            say=lambda line: typer.echo(line, err=True),
            dry_run=dry_run,
        )
    emit(report, "\n".join(f"{stage['stage']}: {stage['done']}" for stage in report), as_json)


@dataset_app.command("list", epilog="Example: timbre-data dataset list --json")
def dataset_list(as_json: Json = False) -> None:
    """List the datasets at home ($TIMBRE_DATA_HOME, else ./datasets)."""
    from timbre_data.pipeline.store.reader import open_if_there
    from timbre_data.pipeline.store.repository import home, known

    found = [data for name in known() if (data := open_if_there(str(home() / name)))]
    rows: list[dict[str, Any]] = [
        {"name": d.name, "version": d.version, "rows": d.recipe.n, "features": list(d.feature_sets())} for d in found
    ]
    text = "\n".join(
        f"{r['name']:<24} {r['version']:<12} {r['rows']:>8} rows  {', '.join(r['features']) or 'no features'}"
        for r in rows
    )
    emit(rows, text or f"no datasets in {home()}", as_json)


@dataset_app.command("show", epilog="Example: timbre-data dataset show distortion@v1.0.0")
def dataset_show(dataset: Home, as_json: Json = False) -> None:
    """Show what a dataset holds: rows, splits, parameters with ranges, features, recipe, provenance."""
    import yaml

    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.pipeline.store.versions import summary

    data = summary(Dataset(dataset))
    emit(data, yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120).rstrip(), as_json)


@dataset_app.command("log", epilog="Example: timbre-data dataset log distortion")
def dataset_log(dataset: Home, as_json: Json = False) -> None:
    """Show the commits, newest first."""
    from timbre_data.pipeline.store.repository import locate
    from timbre_data.pipeline.store.versions import log

    entries = log(locate(dataset))
    text = "\n".join(
        f"{e['snapshot']}  {e['time']}  {e['message']}{'  (' + ', '.join(e['tags']) + ')' if e['tags'] else ''}"
        for e in entries
    )
    emit(entries, text, as_json)


@dataset_app.command("tag", epilog="Example: timbre-data dataset tag distortion paper")
def dataset_tag(
    dataset: Home,
    tag: Annotated[str, typer.Argument(help="Name for the newest state; it never moves.")],
    as_json: Json = False,
) -> None:
    """Name the newest state of a dataset."""
    from timbre_data.pipeline.store.repository import locate
    from timbre_data.pipeline.store.versions import tag as set_tag

    snapshot = set_tag(locate(dataset), tag)
    emit({"tag": tag, "snapshot": snapshot}, f"{dataset}@{tag} is {snapshot}", as_json)


@dataset_app.command("verify", epilog="Example: timbre-data dataset verify distortion --rerender 64")
def dataset_verify(
    dataset: Home,
    rerender: Annotated[
        int, typer.Option("--rerender", min=0, help="Also render so many rows again and compare them bit by bit.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Check every row against its hash. Exit code 3 when anything is missing or damaged, 1 when rows rendered again are not the same."""
    from timbre_data.pipeline.build.rerendering import rerender_rows
    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.pipeline.store.verify import ranges, verify

    data = Dataset(dataset)
    verdict = verify(data)
    lines = [f"{verdict.dataset}: {verdict.checked} rows and features checked"]
    lines += [
        f"{kind} {what}: {ranges(rows)}"
        for kind, found in (("missing", verdict.missing), ("damaged", verdict.damaged))
        for what, rows in found.items()
    ]
    lines += sorted(set(verdict.messages))
    again = None
    if rerender and verdict.whole:
        again = rerender_rows(data, rerender)
        told = f"{again['equal']} of {again['rendered']} rows rendered again are equal bit by bit"
        if again["equal"] < again["rendered"]:
            meant = (
                "within the noise floor of its synth"
                if again["same"]
                else "NOT THE SAME: another machine or version made it, or its synth keeps something of the sound before"
            )
            told += f"; largest difference {again['largest_db']:.1f} dB, {meant}"
        lines.append(told)
    lines.append(
        "whole"
        if verdict.whole
        else "NOT WHOLE: rows that are missing come back by rendering again; damaged ones from a copy or a new render"
    )
    emit(vars(verdict) | {"whole": verdict.whole, "rerender": again}, "\n".join(lines), as_json)
    if not verdict.whole:
        raise typer.Exit(3)
    if again and not again["same"]:
        raise typer.Exit(1)


@dataset_app.command("gc", epilog="Example: timbre-data dataset gc distortion")
def dataset_gc(
    dataset: Home,
    older_than: Annotated[float, typer.Option("--older-than", help="Hours that a file must be old, 1 or more.")] = 24.0,
    as_json: Json = False,
) -> None:
    """Delete what killed builds left behind; commits and tags stay. Waits for nobody: refused while somebody writes."""
    from timbre_data.pipeline.store.repository import locate
    from timbre_data.pipeline.store.versions import collect_garbage

    found = collect_garbage(locate(dataset), older_than)
    emit(found, f"{dataset}: {found['chunks']} chunks deleted, {found['bytes'] / 1e6:.1f} MB", as_json)


@dataset_app.command("export", epilog="Example: timbre-data dataset export distortion --to distortion-wav --format wav")
def dataset_export(
    dataset: Home,
    to: Annotated[Path, typer.Option("--to", help="A new folder.")],
    form: Annotated[str, typer.Option("--format", help="zarr (plain Zarr v3), wav (WAV + CSV) or parquet.")] = "zarr",
    as_json: Json = False,
) -> None:
    """Write a dataset in a hand-over format, with checksums and a card."""
    from timbre_data.pipeline.store.exporting import export
    from timbre_data.pipeline.store.reader import Dataset

    count = export(Dataset(dataset), to, form)
    emit(
        {"to": str(to), "format": form, "files": count}, f"{to}: {count} files, with README.md and SHA256SUMS", as_json
    )


@app.command("list", epilog="Example: timbre-data list effects")
def list_members(
    kind: Annotated[
        str,
        typer.Argument(
            help="effects, synths, profiles, sources, features, importers, models, baselines, recipes, trainings or tables."
        ),
    ] = "effects",
    as_json: Json = False,
) -> None:
    """List the members of a kind."""
    from timbre_data.pipeline.catalogue import registry, shipped

    kind = kind.removesuffix("s")
    names = list(shipped.shipped(kind)) if kind in shipped.FILES else registry.names(registry.kind_of(kind))
    emit(names, "\n".join(names), as_json)


@app.command("show", epilog="Example: timbre-data show effect distortion")
def show_member(
    kind: Annotated[
        str,
        typer.Argument(
            help="effect, synth, profile, source, feature, importer, model, baseline, recipe, training or table."
        ),
    ],
    name: Annotated[str, typer.Argument(help="Its name.")],
    as_json: Json = False,
) -> None:
    """Show one member: parameters with units and ranges, settings, parameter counts."""
    import yaml

    from timbre_data.commands.describing import describe
    from timbre_data.pipeline.catalogue import registry, shipped
    from timbre_data.schemas.errors import UnknownNameError

    kind = kind.removesuffix("s")
    if kind == "synth" and name in shipped.shipped("profile"):
        kind = "profile"  # what render --synth takes, show shows
    if kind in shipped.FILES:
        files = shipped.shipped(kind)
        if name not in files:
            raise UnknownNameError(kind, name, files)
        text = files[name].read_text(encoding="utf-8").rstrip()
        emit(yaml.safe_load(text), text, as_json)
        return
    data = describe(registry.kind_of(kind), name)
    emit(data, yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120).rstrip(), as_json)


@synth_app.command("inspect", epilog="Example: timbre-data synth inspect ~/.vst3/Surge\\ XT.vst3 --out surge.yaml")
def synth_inspect(
    plugin: Annotated[str, typer.Argument(help="A .vst3 or .component file.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the settings there, as YAML, instead of printing them.")
    ] = None,
    plugin_name: Annotated[
        str | None, typer.Option("--plugin-name", help="Which one, where a file holds several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draft the settings of a plug-in: its parameters by name with ranges and kinds, and which look unusable and why."""
    import yaml

    from timbre_data.pipeline.catalogue.files import write_whole
    from timbre_data.pipeline.synths.hosting.vst3 import inspect

    found = inspect(plugin, plugin_name)
    text = yaml.safe_dump({"synth": "plugin", "settings": found}, sort_keys=False, allow_unicode=True)
    if out is not None:
        if out.exists():
            raise UsageError(f"{out} is there already: choose another name with --out.")
        try:
            write_whole(out, text)
        except OSError as error:
            raise UsageError(f"{out} cannot be written: {error.strerror}.") from None
        text = f"{out}: {len(found['parameters'])} parameters, {len(found['unusable'])} left out; put it as the first step of a recipe's chain"
    emit(found, text.rstrip(), as_json)


@synth_app.command("play", epilog="Example: timbre-data synth play amsynth --out note.wav --note 48")
def synth_play(
    synth: Annotated[str, typer.Argument(help="A synth, or a profile of an external one.")],
    out: Annotated[Path, typer.Option("--out", help="The WAV file to write.")],
    note: Annotated[int, typer.Option("--note", min=0, max=127)] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Of the random patch.")] = 0,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Play one note with a random patch into a WAV file and print the patch: to hear that a synth works."""
    from timbre_data.pipeline.build import audition, recipes
    from timbre_data.pipeline.catalogue import validation

    data = recipes.for_synth(synth) | {"n": 1, "seed": seed, "source": {"name": "notes", "keys": [note]}}
    patch = audition.play_one(recipes.load(validation.override(data, settings or [])), out)
    emit(patch, "\n".join(f"{name}: {text}" for name, text in patch.items()), as_json)


@app.command(epilog="Example: timbre-data doctor")
def doctor(as_json: Json = False) -> None:
    """Say what can render here, and what to install for the rest."""
    from timbre_data.commands.describing import check_machine

    checks = check_machine()
    text = "\n".join(
        f"{'ok     ' if check['ok'] else 'missing'}  {check['what']}: {check['detail']}" for check in checks
    )
    emit(checks, text, as_json)
