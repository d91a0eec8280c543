"""Commands that train and evaluate: train, evaluate, compare, search, finetune, design-filters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from timbre_data.commands._shared import (
    DatasetName,
    DryRun,
    Group,
    Json,
    RunName,
    Seed,
    Settings,
    Trust,
    Workers,
    check_datasets,
    cluster_of,
    emit,
    group,
    known,
    names_of,
    refuse_files_of_a_file,
    say,
)
from timbre_data.schemas.errors import UsageError

app = group()
GROUP = Group(app, order=20)

Features = Annotated[
    str | None, typer.Option("--features", help="Comma-separated feature sets. Default: the model's own.")
]
Datasets = Annotated[
    str, typer.Option("--data", help="Comma-separated datasets, each with @TAG or @SNAPSHOT if wanted.")
]


def _model(name: str) -> str:
    """The model's name. Raises `UnknownNameError`; a baseline is no model, but has a command."""
    from timbre_data.models.architectures import MODELS
    from timbre_data.models.baselines import BASELINES

    if name not in MODELS and name in BASELINES:
        raise UsageError(
            f"{name} is a baseline, which is cross-validated instead of trained: timbre-data compare DATA --models {name}."
        )
    return known(name, MODELS)


@app.command(
    epilog="Example: timbre-data train regressor_mlp --data modulation,delay,distortion --features autofx163,autofx48"
)
def train(
    model: Annotated[
        str,
        typer.Argument(help="Model (name or file; see timbre-data list models), or a YAML file of training settings."),
    ],
    data: Annotated[
        str | None, typer.Option("--data", help="Comma-separated datasets, each with @TAG or @SNAPSHOT if wanted.")
    ] = None,
    features: Features = None,
    conditioning: Annotated[
        str | None,
        typer.Option("--conditioning", help="Run of a classifier whose class probabilities are added to the input."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="note (default): no dry note in two splits; row: random rows, as in D'Hooghe 2022 (leaks between splits).",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            help="What to learn; see timbre-data list targets. Default: what the model and the datasets are for.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run. Default: from the settings.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of all random numbers.")] = None,
    settings: Settings = None,
    logger: Annotated[
        str | None,
        typer.Option("--logger", help="Also log curves with tensorboard, mlflow, wandb or trackio. Default: none."),
    ] = None,
    dry_run: DryRun = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Train a model on a dataset. Repeat the command to resume; a finished run is left unchanged."""
    from timbre_data.models.targets import TARGETS
    from timbre_data.pipeline.features import FEATURE_SETS

    given: dict[str, Any] = {"model": model}
    if model.endswith((".yaml", ".yml")):
        from timbre_data.pipeline.build.recipes import read_settings

        given = read_settings(Path(model))
        refuse_files_of_a_file(str(given["model"]), model)
    given["model"] = _model(str(given["model"]))
    options = {
        "data": data,
        "features": names_of(features, FEATURE_SETS),
        "conditioning": conditioning,
        "split": split,
        "target": known(target, TARGETS) if target else None,
        "seed": seed,
    }
    given |= {key: value for key, value in options.items() if value is not None}
    if "data" not in given:
        raise UsageError("give the datasets to train on: --data NAME.")
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.schemas.settings import TrainSettings

    checked = validation.validate(TrainSettings, validation.override(given, settings or []), "train")
    check_datasets(checked.data)
    from timbre_data.models.training import train as training

    folder, done = training.train(checked, name=name, say=say, dry_run=dry_run, logger=logger)
    if done == "would train":
        from timbre_data.models.studies.planning import plan

        planned = plan(checked, folder)
        emit(planned.data(), planned.text(), as_json)
        return
    if done != "trained":
        say(f"{folder}: {done}")
    say(f"next: timbre-data evaluate {folder}")
    emit({"run": str(folder), "done": done}, str(folder), as_json)


@app.command(epilog="Example: timbre-data evaluate runs/regressor-mlp-distortion-1a2b3c")
def evaluate(
    run: RunName,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Comma-separated other datasets with the same parameters or classes. Default: those it was trained on.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", "--on", help="train, validation or test (the default), or of other data all (the default)."
        ),
    ] = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Evaluate although training and test rows share dry notes.")
    ] = False,
    sounds: Annotated[
        int,
        typer.Option(
            "--sounds",
            min=0,
            help="Number of rows to re-render with predicted parameters (equaliser: notes to score).",
        ),
    ] = 48,
    distances: Annotated[
        str | None,
        typer.Option(
            "--distances",
            help="Comma-separated distances between re-rendered and stored sounds (names or files). Default: all.",
        ),
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Make a page to hear the evaluation.")] = True,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Evaluate a run: tables of metrics, plots, distances between re-rendered and stored sounds, and a page to hear it;
    on other data also how far that is from what the run has learned.
    """
    from timbre_data.models.evaluation.distances import DISTANCES
    from timbre_data.models.training.runs import find_run
    from timbre_data.pipeline.store.columns import check_split

    names = names_of(distances, DISTANCES)
    if split is not None and not (data and split == "all"):
        check_split(split)
    folder = find_run(run)
    others = [name.strip() for name in data.split(",")] if data else []
    check_datasets(others)
    from timbre_data.models.studies.evaluate import evaluate as evaluate_run

    result = evaluate_run(folder, data=others, split=split, allow_leak=allow_leak, sounds=sounds, distances=names)
    say(f"tables, plots and predictions are in {result.folder}")
    if sys.stderr.isatty() and not as_json:
        from timbre_data.commands.pages.evaluated_rows import open_evaluation
        from timbre_data.commands.pages.terminal import draw_evaluation
        from timbre_data.models.evaluation import epochs

        evaluated = open_evaluation(folder, result.folder)
        draw_evaluation(epochs.read(folder), None if evaluated is None else evaluated.errors)
    if page:
        from timbre_data.commands.pages.run_page import PAGE, SOUNDS, write_run_page

        shown = write_run_page(folder, result.folder, result.folder / PAGE, sounds=min(sounds, SOUNDS))
        say(f"hear it: open {shown.page} in a browser")
    say(f"next: timbre-data predict {folder} SOUND.wav")
    emit(result.metrics, result.markdown(), as_json)


@app.command(epilog="Example: timbre-data compare effects11 --against effects11-analogue")
def compare(
    data: Annotated[str, typer.Argument(help="Comma-separated datasets with autofx163 features.")],
    against: Annotated[
        str, typer.Option("--against", help="Comma-separated datasets of another generator, to test generalisation.")
    ] = "",
    models: Annotated[
        str | None,
        typer.Option(
            "--models", help="Comma-separated baselines (names or files), or class_mlp. Default: all shipped."
        ),
    ] = None,
    target: Annotated[str, typer.Option("--target", help="effect, or family (the six aggregated classes).")] = "effect",
    folds: Annotated[int, typer.Option("--folds", help="Number of cross-validation folds, by dry note.")] = 9,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run. Default: from the settings.")] = None,
    seed: Seed = 0,
    settings: Settings = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compare classifiers by cross-validation: accuracy, cost, confusion, feature importance, generalisation."""
    from timbre_data.models.baselines import BASELINES, check_classifiers
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.schemas.settings import CompareSettings

    given: dict[str, Any] = {"data": data, "target": target, "folds": folds, "seed": seed}
    given |= {"against": against} if against else {}
    if models:
        given["models"] = [BASELINES.resolve(name.strip()) for name in models.split(",")]
    checked = validation.validate(CompareSettings, validation.override(given, settings or []), "compare")
    check_classifiers(checked.models)
    check_datasets((*checked.data, *checked.against))
    from timbre_data.models.studies.comparison import compare as compare_classifiers

    result = compare_classifiers(checked, name=name, say=say)
    say(f"tables and plots are in {result.folder}")
    emit(result.metrics, result.markdown(), as_json)


@app.command(
    epilog="Example: timbre-data search inverse_synth --data inverse12 --grid learning_rate=[1e-2,1] --repeats 3"
)
def search(
    model: Annotated[str, typer.Argument(help="Model (name or file); see timbre-data list models.")],
    data: Datasets,
    grid: Annotated[
        list[str],
        typer.Option("--grid", help="Setting and its values: --grid learning_rate=[1e-3,1e-4]. Repeatable."),
    ],
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Number of seeds per combination.")] = 3,
    name: Annotated[str, typer.Option("--name", help="Name of the search; its runs are stored below.")] = "search",
    features: Features = None,
    settings: Settings = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Grid search: train every combination with several seeds. Repeat the command to resume."""
    from timbre_data.pipeline.catalogue import validation
    from timbre_data.pipeline.features import FEATURE_SETS

    fields = {"model": _model(model), "data": data, "features": names_of(features, FEATURE_SETS)}
    values = validation.read_grid(grid)
    check_datasets([one.strip() for one in data.split(",")])
    from timbre_data.models.studies import grid_search

    result = grid_search.search(validation.override(fields, settings or []), values, repeats, name, say=say)
    emit({"folder": str(result.folder), "results": list(result.results)}, result.table.markdown(), as_json)


@app.command(epilog="Example: timbre-data finetune runs/autofx-211C --data distortion-soundfont")
def finetune(
    run: RunName,
    data: Annotated[
        str, typer.Option("--data", "--on", help="Out-of-domain dataset with the same parameters and features.")
    ],
    steps: Annotated[int, typer.Option("--steps", min=2, help="Number of steps of each stage.")] = 150,
    sounds: Annotated[int, typer.Option("--sounds", min=1, help="Number of held-out sounds to measure on.")] = 48,
    evaluations: Annotated[
        int, typer.Option("--evaluations", min=0, help="Number of renders per sound in the search; 0 for no search.")
    ] = 160,
    freeze: Annotated[
        int, typer.Option("--freeze", min=0, help="Number of first layers whose weights stay as they are.")
    ] = 0,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Change to the sound's loss at once, not little by little.")
    ] = False,
    seed: Seed = 0,
    workers: Workers = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a regressor on sounds through the real effect, and compare with a search at inference time."""
    from timbre_data.models.training.runs import find_run

    folder = find_run(run)
    check_datasets([data])
    from timbre_data.models.studies import finetuning

    result, table = finetuning.study(
        folder,
        data,
        steps=steps,
        test_rows=sounds,
        evaluations=evaluations,
        frozen=freeze,
        at_once=at_once,
        seed=seed,
        cluster=cluster_of(workers, None, None),
        say=say,
    )
    emit(result, table.markdown(), as_json)


@app.command("design-filters", epilog="Example: timbre-data design-filters sung-phonemes --out filters.yaml")
def design_filters(
    data: DatasetName,
    model: Annotated[str, typer.Option("--model", help="Model whose first layer is designed.")] = "jingju_proposed",
    out: Annotated[
        Path | None, typer.Option("--out", help="Settings file (YAML) to write, for timbre-data train FILE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the spectral and temporal extents of a dataset's sounds, and propose first-layer filter shapes."""
    name = _model(model)
    check_datasets([data])
    from timbre_data.models.studies import filter_design

    result = filter_design.design(data, name)
    if out is not None:
        filter_design.write(result, out)
        say(f"settings in {out}: timbre-data train {out}")
    emit(result.settings | {"parameters": result.parameters}, result.table.markdown(), as_json)
