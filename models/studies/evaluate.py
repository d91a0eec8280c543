"""Evaluating a run: tables beside the paper's, plots, predictions, and sounds rendered with predicted parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.data.opening import open_named
from timbre_data.models.evaluation import epochs, plots
from timbre_data.models.evaluation.distances import DISTANCES
from timbre_data.models.evaluation.tables import StudyResult, Table
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.studies.cost import cost_of
from timbre_data.models.targets import TARGETS
from timbre_data.models.targets._target import Evaluated
from timbre_data.models.training import checkpoints, runs
from timbre_data.models.training.preparing import prepare
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.store.columns import SPLITS, check_split
from timbre_data.schemas.errors import LeakingSplitError, UsageError

FOLDER = "evaluation"
"""Of the test split; evaluations of other splits lie beside it."""
METRICS = "metrics.json"
"""Written last: where it is, an evaluation is complete."""


def evaluate(
    run: Path,
    *,
    split: str = "test",
    allow_leak: bool = False,
    sounds: int = 48,
    distances: Sequence[str] | None = None,
    seed: int = 0,
) -> StudyResult:
    """Evaluate a finished run on one split of the snapshots it was trained on.

    Raises `LeakingSplitError` when test rows share dry notes with training rows, unless `allow_leak`.
    """
    check_split(split)
    made, trained = runs.open_run(run), checkpoints.load(run)
    target = TARGETS.load(trained.target)
    evaluated = Evaluated(
        run=run,
        trained=trained,
        settings=made.settings,
        datasets=[open_named(name, made.snapshots[name]) for name in made.settings.data],
        split=split,
        folder=run / (FOLDER if split == "test" else f"{FOLDER}-{split}"),
        sounds=sounds,
        distances=list(distances or DISTANCES.names()),
        seed=seed,
    )
    facts: dict[str, Any] = {
        "run": run.name,
        "model": made.settings.model,
        "parameters": parameter_count(trained.network.network),
        "data": {name: made.snapshots[name] for name in made.settings.data},
        "split": split,
    }
    head: tuple[Table, ...] = ()
    tail: tuple[Table, ...] = ()
    if target.learns_from == "rows":
        evaluated, spent, head, tail = _predict(evaluated, facts, allow_leak)
        facts |= spent
    (evaluated.folder / METRICS).unlink(missing_ok=True)
    evaluated.folder.mkdir(exist_ok=True)
    result, tables = target.evaluate(evaluated)
    plots.loss_curves(epochs.read(run), evaluated.folder / "loss.png")
    if target.learns_from == "rows":
        _keep(evaluated)
    evaluation = StudyResult(evaluated.folder, facts | result, (*head, *tables, *tail))
    write_whole(evaluation.folder / "tables.md", evaluation.markdown() + "\n")
    write_whole(evaluation.folder / METRICS, json.dumps(evaluation.metrics, indent=2))
    return evaluation


def _predict(
    evaluated: Evaluated, facts: dict[str, Any], allow_leak: bool
) -> tuple[Evaluated, dict[str, Any], tuple[Table, ...], tuple[Table, ...]]:
    """Load the rows and predict those of the split; what is known of them, the table before all others, and what it
    cost.
    """
    settings, trained = evaluated.settings, evaluated.trained
    rows, probabilities = prepare(settings, list(evaluated.datasets))
    leaking = rows.leaking_groups()
    if leaking and not allow_leak:
        raise LeakingSplitError(
            f"{evaluated.run.name} was trained with --split {settings.split}: {len(leaking)} dry notes are in both training and test, so its scores are too good. Train with --split note, or ask for it with --allow-leak."
        )
    row_indices = rows.where(SPLITS.index(evaluated.split))
    if not len(row_indices):
        raise UsageError(f"the {evaluated.split} split is empty: render more rows.")
    predicted = trained.predict(
        torch.from_numpy(rows.features[row_indices]),
        None if probabilities is None else probabilities[row_indices],
        rows.sounds(row_indices),
    ).numpy()
    cost, price = cost_of(evaluated.run, trained, evaluated.datasets, rows, row_indices, probabilities)
    head = Table(
        f"{evaluated.run.name}, {evaluated.split} split",
        ("model", "parameters", "split by", "rows", "data"),
        (
            (
                settings.model,
                str(facts["parameters"]),
                settings.split + (" (leaks)" if leaking else ""),
                str(len(row_indices)),
                ", ".join(settings.data),
            ),
        ),
    )
    spent = {"split_rule": settings.split, "rows": len(row_indices), "leaking_notes": len(leaking), "cost": cost}
    return replace(evaluated, rows=rows, row_indices=row_indices, predicted=predicted), spent, (head,), (price,)


def _keep(evaluated: Evaluated) -> None:
    """Predictions, and a picture of first-layer filters where a network has some."""
    rows, row_indices, predicted = evaluated.row_predictions
    if shapes := first_filters(evaluated.trained.network):
        plots.filters(shapes, evaluated.folder / "filters.png")
    np.savez_compressed(
        evaluated.folder / "predictions.npz",
        predicted=predicted,
        row=rows.row[row_indices],
        dataset=rows.dataset[row_indices],
    )


def is_evaluated(run: Path) -> dict[str, Any] | None:
    """The metrics of a run's test split, or None where its evaluation is not complete."""
    path = run / FOLDER / METRICS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def first_filters(network: torch.nn.Module) -> list[tuple[str, NDArray[Any]]]:
    """The filters over the spectrogram itself, by shape [shape=(count, bands, frames) each]; none for other
    networks.
    """
    result: list[tuple[str, NDArray[Any]]] = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == 1:
            count, _, bands, frames = module.weight.shape
            title = f"{count} filters of {bands} bands x {frames} frames"
            result.append((title, module.weight.detach().float().numpy()[:, 0]))
    return result
