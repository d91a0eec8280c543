"""Commands that build datasets: render, import, featurize, run."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from timbre_data.commands._shared import (
    AllowMixed,
    Batch,
    DatasetName,
    DryRun,
    Group,
    Json,
    Patience,
    Scheduler,
    Settings,
    Trust,
    Workers,
    cluster_of,
    emit,
    group,
    known,
    names_of,
    resume_command,
    say,
    warn,
)
from timbre_data.pipeline.build.watching import PATIENCE_SECONDS
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.build.stage import Report

app = group()
GROUP = Group(app, order=10)


@app.command(epilog="Example: timbre-data render --fx distortion --n 37440")
def render(
    fx: Annotated[
        str | None, typer.Option("--fx", help="Effect (name or file): its recipe, or the effect with all defaults.")
    ] = None,
    synth: Annotated[
        str | None,
        typer.Option("--synth", help="Synth, or profile of an external synth (name or file)."),
    ] = None,
    eq: Annotated[
        str | None,
        typer.Option(
            "--eq",
            help="Input-output pairs of a filter: shelving, peaking, lowpass, highpass, or any (random settings).",
        ),
    ] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="Recipe: YAML file or shipped name.")] = None,
    around: Annotated[
        str | None,
        typer.Option(
            "--around", help="Presets of the synth that rows are drawn around: a bank or folder, or 'presets', its own."
        ),
    ] = None,
    spread: Annotated[
        float | None,
        typer.Option(
            "--spread", help="How far around: standard deviation, as a share of a knob's range. Default: 0.1."
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Dataset to make again from its own recipe, and to compare with; needs --out."),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Number of rows.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of all random numbers.")] = None,
    rate: Annotated[int | None, typer.Option("--rate", help="Sampling rate in Hz.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Source of dry sounds (name or file).")] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", help="Name, path or s3:// address of the dataset. Default: the recipe's name."),
    ] = None,
    settings: Settings = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    patience: Patience = PATIENCE_SECONDS,
    allow_mixed: AllowMixed = False,
    batch: Batch = None,
    part: Annotated[
        str | None,
        typer.Option("--part", help="Render one part, such as 3/20, on one of several machines; the last joins them."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option("--features", help="Comma-separated feature sets to compute while the sounds are at hand."),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Mark rows that fail and continue, instead of stopping.")
    ] = False,
    dry_run: DryRun = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Render a dataset with random, known parameters. Repeat the command to resume; use a larger --n to add rows."""
    from timbre_data.pipeline.build import part_rendering, recipes, rendering
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.effects import EFFECTS
    from timbre_data.pipeline.features import FEATURE_SETS
    from timbre_data.pipeline.sources import SOURCES
    from timbre_data.pipeline.store.location import locate

    if [fx, synth, eq, recipe, from_].count(None) != 4:
        raise UsageError(
            "give exactly one of --fx NAME, --synth NAME, --eq NAME, --recipe FILE and --from DATASET; see timbre-data list effects."
        )
    if eq is not None:
        recipe = recipes.for_equaliser(eq)
    if fx:
        data = recipes.for_effect(known(fx, EFFECTS))
    elif from_:
        data = _recipe_of(from_, out)
    else:
        data = recipes.for_synth(synth) if synth else recipes.read(recipe or "")
    if around is not None or spread is not None:
        data = recipes.around_presets(data, around, spread)
    named = {"name": known(source, SOURCES)} if source else None
    short = {"n": n, "seed": seed, "audio.rate": rate, "source": named}
    data = validation.override(data, {key: value for key, value in short.items() if value is not None})
    resolved = recipes.load(validation.override(data, settings or []))
    location = locate(out or resolved.name)
    names = names_of(features, FEATURE_SETS) or []
    if names and part is not None:
        raise UsageError("--features is not for parts: featurize the dataset when it is finished.")
    cluster = cluster_of(workers, scheduler, batch, patience=patience, allow_mixed=allow_mixed)
    with bar(enabled=not dry_run, resume=resume_command()) as progress:
        one = part_rendering.Part.parse(part) if part is not None else None
        if one is not None and not dry_run:
            report = part_rendering.render_part(
                resolved, location, cluster, one, progress=progress, keep_going=keep_going
            )
        else:
            report = rendering.render(
                resolved,
                location,
                cluster,
                progress=progress,
                dry_run=dry_run,
                keep_going=keep_going,
                features={name: {} for name in names},
            )
    for warning in report.warnings:
        warn(warning)
    again = _compared_with(from_, location.address) if from_ and report.version and not dry_run else {}
    text = f"{again['equal']} of {again['compared']} rows are equal to those of {from_}" if again else ""
    emit(asdict(report) | again, "\n".join(line for line in (_summary(report, dry_run), text) if line), as_json)
    if report.failed:
        shown = "; ".join(report.failed[:20]) + ("; ..." if len(report.failed) > 20 else "")
        warn(f"{len(report.failed)} rows or sounds failed: {shown}")
        raise typer.Exit(1)
    if report.version and not dry_run:
        left = set(resolved.features).difference(names)
        _say_next("featurize" if left else "dataset show", out or resolved.name)


def _say_next(command: str, dataset: str) -> None:
    """Say what can be done with a dataset now."""
    say(f"next: timbre-data {command} {shlex.quote(dataset)}")


def _recipe_of(dataset: str, out: str | None) -> dict[str, Any]:
    """The recipe of a dataset that is to be made again under another name. Raises `UsageError`."""
    from timbre_data.pipeline.store.origins import ORIGINS
    from timbre_data.pipeline.store.reader import Dataset

    if out is None:
        raise UsageError("--from makes another dataset: say where with --out NAME.")
    data = Dataset(dataset)
    if data.meta.get("kind") == "imported":
        raise UsageError(f"{dataset} was imported from recordings: import them again with timbre-data import.")
    if data.meta.get(ORIGINS):
        raise UsageError(f"{dataset} was selected or merged from other datasets: make those again.")
    return data.recipe.model_dump(mode="json")


def _compared_with(dataset: str, made: str) -> dict[str, int]:
    """How many rows of a dataset that was made again are equal."""
    from timbre_data.pipeline.store.comparing import equal_rows
    from timbre_data.pipeline.store.reader import Dataset

    first, second = Dataset(dataset), Dataset(made)
    return {"equal": equal_rows(first, second), "compared": min(first.n, second.n)}


def _summary(report: Report, dry_run: bool) -> str:
    if dry_run:
        size = f", about {report.estimated_bytes / 1e9:.2f} GB before compression" if report.estimated_bytes else ""
        said = f"{report.dataset}: would make {report.rows} of {report.total} rows ({report.reason}){size}"
        return f"{said}\nit takes {report.estimate.text}" if report.estimate else said
    version = f", version {report.version}" if report.version else ""
    rejected = f", {report.rejected} draws rejected" if report.rejected else ""
    return f"{report.dataset}: {report.reason}, {report.rows} new of {report.total} rows{rejected}{version}"


@app.command("import", epilog="Example: timbre-data import idmt-smt-audio-effects ~/IDMT --set parts=[guitar]")
def import_(
    importer: Annotated[str, typer.Argument(help="Public dataset (name or file); see timbre-data list importers.")],
    path: Annotated[str, typer.Argument(help="Folder that the dataset was unpacked into.")],
    out: Annotated[
        str | None, typer.Option("--out", help="Name, path or s3:// address. Default: the importer's name.")
    ] = None,
    rate: Annotated[int | None, typer.Option("--rate", help="Sampling rate in Hz.")] = None,
    settings: Settings = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    patience: Patience = PATIENCE_SECONDS,
    allow_mixed: AllowMixed = False,
    batch: Batch = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave out unusable files and continue, instead of stopping.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import a public dataset: check, decode, resample and label every file."""
    from timbre_data.pipeline.build import importing
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.importers import IMPORTERS
    from timbre_data.pipeline.store.location import locate

    importer = known(importer, IMPORTERS)
    changes = validation.override({}, settings or [])
    audio = changes.pop("audio", {}) | ({"rate": rate} if rate is not None else {})
    with bar(enabled=not dry_run, resume=resume_command()) as progress:
        report = importing.import_dataset(
            importer,
            changes | {"path": path},
            locate(out or importer.replace("_", "-")),
            cluster_of(workers, scheduler, batch, patience=patience, allow_mixed=allow_mixed),
            audio=audio,
            progress=progress,
            keep_going=keep_going,
            dry_run=dry_run,
        )
    emit(vars(report), _summary(report, dry_run), as_json)
    if report.failed:
        warn(f"{len(report.failed)} recordings left out: {report.failed[0]}")
        raise typer.Exit(1)
    if report.version and not dry_run:
        _say_next("dataset show", out or importer.replace("_", "-"))


@app.command(epilog="Example: timbre-data featurize distortion --features autofx163,logmel")
def featurize(
    dataset: DatasetName,
    features: Annotated[
        str | None,
        typer.Option("--features", help="Comma-separated feature sets (names or files). Default: the recipe's."),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity",
            help="Measure how much is heard of every label: draw each parameter of a row once more, play it, and store the distance in dB.",
        ),
    ] = False,
    settings: Settings = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    patience: Patience = PATIENCE_SECONDS,
    allow_mixed: AllowMixed = False,
    batch: Batch = None,
    trust: Trust = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compute features and spectrograms of every row and store them in the dataset (--set logmel.n_mels=80)."""
    from timbre_data.pipeline.features import FEATURE_SETS

    if sensitivity and (features or settings):
        raise UsageError("--sensitivity is measured by itself: give --features and --set in another command.")

    names = names_of(features, FEATURE_SETS)
    from timbre_data.pipeline.build import featurizing
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.store.location import locate
    from timbre_data.pipeline.store.reader import Dataset

    if sensitivity:
        from timbre_data.pipeline.build import sensing

        with bar(enabled=not dry_run, resume=resume_command()) as progress:
            cluster = cluster_of(workers, scheduler, batch, patience=patience, allow_mixed=allow_mixed)
            report = sensing.sense(locate(dataset), cluster, progress=progress, dry_run=dry_run)
        emit([vars(report)], _summary(report, dry_run), as_json)
        return
    names = names or list(Dataset(dataset).recipe.features)
    changes = validation.override({}, settings or [])
    if stray := [name for name in changes if name not in names]:
        raise UsageError(
            f"--set {stray[0]}: not one of the requested feature sets; write --set FEATURE.FIELD=VALUE with {', '.join(names)}."
        )
    with bar(enabled=not dry_run, resume=resume_command()) as progress:
        reports = featurizing.featurize(
            locate(dataset),
            {name: changes.get(name) or {} for name in names},
            cluster_of(workers, scheduler, batch, patience=patience, allow_mixed=allow_mixed),
            progress=progress,
            dry_run=dry_run,
        )
    emit([vars(report) for report in reports], "\n".join(_summary(report, dry_run) for report in reports), as_json)
    if not dry_run:
        say(f"next: timbre-data train MODEL --data {shlex.quote(dataset)}; for MODEL see timbre-data list models")


@app.command(epilog="Example: timbre-data run datasets/recipes/autofx-small.yaml")
def run(
    recipe: Annotated[str, typer.Argument(help="Pipeline recipe: YAML file or shipped name.")],
    settings: Settings = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    patience: Patience = PATIENCE_SECONDS,
    allow_mixed: AllowMixed = False,
    dry_run: DryRun = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Run a pipeline recipe: render, featurize, train and evaluate. Stages that are up to date are skipped."""
    from timbre_data.pipeline.build import recipes
    from timbre_data.pipeline.build.progress_bar import bar
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.schemas.settings import PipelineRecipe

    checked = validation.validate(PipelineRecipe, validation.override(recipes.read(recipe), settings or []), recipe)
    from timbre_data.models.studies.pipeline_run import run_pipeline, summary

    with bar(enabled=not dry_run, resume=resume_command()) as progress:
        report = run_pipeline(
            checked,
            cluster_of(workers, scheduler, None, patience=patience, allow_mixed=allow_mixed),
            progress=progress,
            say=say,
            dry_run=dry_run,
        )
    emit(report, "\n".join(f"{stage['stage']}: {stage['done']}" for stage in report), as_json)
    if not dry_run and (text := summary(report)):
        say(text)
