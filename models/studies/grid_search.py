"""Grid search, as the papers did it: every combination, repeated with several seeds, resumable; a table and a heat map
at the end.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from timbre_data.models.data.opening import open_named
from timbre_data.models.data.rows import contents_of
from timbre_data.models.evaluation import epochs, plots
from timbre_data.models.evaluation.tables import Table, number
from timbre_data.models.training import runs, train
from timbre_data.models.training.preparing import resolve
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

GRID = "grid.json"


@dataclass(frozen=True)
class Search:
    """The result of a grid search: best validation loss of every combination, mean and deviation over the repeats."""

    folder: Path
    results: tuple[dict[str, Any], ...]
    table: Table


def search(
    settings: Mapping[str, Any],
    grid: Mapping[str, Sequence[Any]],
    repeats: int,
    name: str,
    say: Callable[[str], None] = lambda line: None,
) -> Search:
    """Train every combination of `grid` (fields of the training settings, with dots) with `repeats` seeds, by Optuna's
    grid sampler.

    Trials are runs under `runs/NAME/`; the study is kept beside them, so the same command again resumes where it
    stopped. Raises `UsageError` for a grid that does not fit, or another one under the same name.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    checked = check_grid(settings, grid)
    datasets = [open_named(data) for data in sorted({data for one in checked for data in one.data})]
    contents = contents_of(datasets, sorted({feature for one in checked for feature in one.features or ()}))
    folder = runs.runs_home() / name
    folder.mkdir(parents=True, exist_ok=True)
    asked = json.loads(
        json.dumps({"settings": dict(settings), "grid": dict(grid), "repeats": repeats, "contents": contents})
    )
    if (folder / GRID).is_file() and json.loads((folder / GRID).read_text(encoding="utf-8")) != asked:
        raise UsageError(f"{folder} is a search with another grid, other settings or data: choose another --name.")
    write_whole(folder / GRID, json.dumps(asked, indent=2))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        space = {key: [json.dumps(value) for value in values] for key, values in grid.items()}
        sampler = optuna.samplers.GridSampler(space | {"repeat": list(range(repeats))}, seed=0)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / "study.log"))),
            study_name=name,
            sampler=sampler,
            load_if_exists=True,
        )

        def objective(trial: Any) -> float:
            values = {key: json.loads(trial.suggest_categorical(key, space[key])) for key in grid}
            repeat = trial.suggest_categorical("repeat", list(range(repeats)))
            shown = ", ".join(f"{key}={value}" for key, value in values.items())
            trial_name = "-".join(str(value) for value in values.values()).replace("/", "_")
            run, _ = train.train(_resolved(settings, values, repeat), name=f"{name}/{trial_name}-{repeat}")
            loss = min(row["validation_loss"] for row in epochs.read(run))
            say(f"{shown}, repeat {repeat + 1} of {repeats}: best validation loss {loss:.5g}")
            return loss

        done = [trial.params for trial in study.trials if trial.value is not None]
        for repeat in range(repeats):
            for values in _combinations(grid):
                params = {key: json.dumps(value) for key, value in values.items()} | {"repeat": repeat}
                if params not in done:  # also one that was interrupted, which Optuna counts as failed
                    study.enqueue_trial(params)
                    study.optimize(objective, n_trials=1)
    finished = [trial for trial in study.trials if trial.value is not None]
    return _summary(
        folder, grid, [({k: json.loads(t.params[k]) for k in grid}, float(t.value or 0.0)) for t in finished]
    )


def check_grid(settings: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]) -> list[TrainSettings]:
    """The settings of every combination. Raises `UsageError` for a grid that does not fit."""
    if not grid or not all(grid.values()):
        raise UsageError("a grid search needs at least one --grid FIELD=[a,b,c].")
    if "seed" in grid:
        raise UsageError("--grid seed=...: every repeat has a seed of its own, say how many with --repeats.")
    return [_resolved(settings, values, 0) for values in _combinations(grid)]


def _combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _resolved(settings: Mapping[str, Any], values: Mapping[str, Any], repeat: int) -> TrainSettings:
    checked = validation.validate(TrainSettings, validation.override(dict(settings), values), "search")
    return resolve(checked.model_copy(update={"seed": checked.seed + repeat}))


def _summary(folder: Path, grid: Mapping[str, Sequence[Any]], trials: list[tuple[dict[str, Any], float]]) -> Search:
    results: list[dict[str, Any]] = []
    for values in _combinations(grid):
        losses = [loss for trial_values, loss in trials if trial_values == values]
        spread = float(np.std(losses, ddof=1)) if len(losses) > 1 else 0.0
        mean = float(np.mean(losses)) if losses else float("nan")
        results.append({"values": values, "loss": mean, "sd": spread, "repeats": len(losses)})
    ordered = sorted(results, key=lambda result: (np.isnan(result["loss"]), result["loss"]))
    table = Table(
        "Grid search: best validation loss, mean over repeats",
        (*grid, "loss", "deviation", "repeats"),
        tuple(
            (*(str(r["values"][key]) for key in grid), number(r["loss"]), number(r["sd"]), str(r["repeats"]))
            for r in ordered
        ),
    )
    write_whole(folder / "tables.md", table.markdown() + "\n")
    write_whole(folder / "results.json", json.dumps(results, indent=2))
    if len(grid) == 2:
        (first, rows), (second, columns) = grid.items()
        grid_of_losses = np.array([r["loss"] for r in results]).reshape(len(rows), len(columns))
        plots.heat_map(
            grid_of_losses,
            [str(value) for value in rows],
            [str(value) for value in columns],
            (first, second),
            "best validation loss",
            folder / "heat-map.png",
        )
    return Search(folder, tuple(results), table)
