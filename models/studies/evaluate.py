"""Evaluating a run: tables beside the paper's, plots, predictions, and the sounds that predicted parameters make."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import Model
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import (
    classes,
    equalisation,
    frames,
    metrics,
    parameters,
    plots,
    sounds,
    synths,
    tags,
)
from timbre_data.models.evaluation.tables import Table, number
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.studies.cost import cost_of
from timbre_data.models.training import checkpoints, epochs, runs, train
from timbre_data.models.training.checkpoints import Trained
from timbre_data.pipeline.catalogue import registry
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.store.layout import SPLITS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import LeakingSplitError, UsageError
from timbre_data.schemas.settings import TrainSettings

FOLDER = "evaluation"
"""Of the test split; what is evaluated on another one lies beside it."""


@dataclass(frozen=True)
class Evaluation:
    """What was found, for programs (`metrics`) and for people (`tables`), and where it was written."""

    folder: Path
    metrics: dict[str, Any]
    tables: tuple[Table, ...]

    def markdown(self) -> str:
        """All tables."""
        return "\n\n".join(table.markdown() for table in self.tables)


def evaluate(
    run: Path, *, split: str = "test", allow_leak: bool = False, sound_rows: int = 48, seed: int = 0
) -> Evaluation:
    """Evaluate a finished run on one split of the snapshots it was trained on.

    Raises `LeakingSplitError` when test rows share dry notes with training rows, unless `allow_leak`.
    """
    if split not in SPLITS:
        raise UsageError(f"--on {split} is not a split: choose {', '.join(SPLITS)}.")
    made = runs.open_run(run)
    settings, snapshots = made.settings, made.snapshots
    trained = checkpoints.load(run)
    if trained.task == "transformation":
        return _evaluate_transformation(run, trained, settings, snapshots, split, sound_rows)
    datasets = [Dataset(name, snapshots[name]) for name in settings.data]
    rows, probabilities = train.prepare(settings, datasets)
    leaking = rows.leaking_groups()
    if leaking and not allow_leak:
        raise LeakingSplitError(
            f"{run.name} was trained with --split {settings.split}: {len(leaking)} dry notes are in both training and test, so its scores flatter. Train with --split note, or ask for it with --allow-leak."
        )
    chosen = rows.where(SPLITS.index(split))
    if not len(chosen):
        raise UsageError(f"the {split} split is empty: render more rows.")
    predicted = trained.predict(
        torch.from_numpy(rows.features[chosen]),
        None if probabilities is None else probabilities[chosen],
        rows.sounds(chosen),
    ).numpy()
    folder = _folder(run, split)
    folder.mkdir(exist_ok=True)
    kind: Model = registry.load("model", settings.model)
    facts: dict[str, Any] = {
        "run": run.name,
        "model": settings.model,
        "parameters": parameter_count(trained.network.network),
        "data": {name: snapshots[name] for name in settings.data},
        "split_rule": settings.split,
        "split": split,
        "rows": len(chosen),
        "leaking_notes": len(leaking),
    }
    played = any(data.recipe.chain.synth for data in datasets)
    if kind.task == "classification" and settings.target == "effects":
        found, tables = classes.several_labels(rows, chosen, predicted)
    elif kind.task == "classification" and settings.target == "tags":
        found, tables = tags.evaluate_tags(rows, chosen, predicted, settings.model, folder)
    elif kind.task == "classification" and settings.target == "frames":
        found, tables = frames.evaluate_frames(rows, chosen, predicted, folder)
    elif kind.task == "classification":
        found, tables = classes.classification(rows, chosen, predicted, folder)
    else:
        found, tables = parameters.regression(trained, rows, chosen, predicted, folder)
        if played:
            first = rows.dataset[chosen] == 0 if sound_rows else np.zeros(len(chosen), bool)
            some = rows.row[chosen[: synths.MOST_ROWS][first[: synths.MOST_ROWS]]]
            audible = synths.audible_knobs(datasets[0], some, rows.parameter_names)
            knobs, more = synths.evaluate_knobs(
                rows, chosen, predicted, synths.interchangeable(datasets), audible, folder
            )
            found["knobs"] = knobs
            tables = (more, *tables)
        if sound_rows:
            heard, table = _sounds(datasets, rows, chosen, predicted, sound_rows, seed, folder)
            found["sounds"] = heard
            tables = (*tables, table)
    plots.loss_curves(epochs.read(run), folder / "loss.png")
    if shapes := first_filters(trained.network):
        plots.filters(shapes, folder / "filters.png")
    np.savez_compressed(
        folder / "predictions.npz", predicted=predicted, row=rows.row[chosen], dataset=rows.dataset[chosen]
    )
    head = Table(
        f"{run.name}, {split} split",
        ("model", "parameters", "split by", "rows", "data"),
        (
            (
                settings.model,
                str(facts["parameters"]),
                settings.split + (" (leaks)" if leaking else ""),
                str(len(chosen)),
                ", ".join(settings.data),
            ),
        ),
    )
    spent, price = cost_of(run, trained, datasets, rows, chosen, probabilities)
    evaluation = Evaluation(folder, facts | found | {"cost": spent}, (head, *tables, price))
    write_whole(folder / "metrics.json", json.dumps(evaluation.metrics, indent=2))
    write_whole(folder / "tables.md", evaluation.markdown() + "\n")
    return evaluation


def _folder(run: Path, split: str) -> Path:
    return run / (FOLDER if split == "test" else f"{FOLDER}-{split}")


def _evaluate_transformation(
    run: Path, trained: Trained, settings: TrainSettings, snapshots: dict[str, str], split: str, notes: int
) -> Evaluation:
    """Evaluate a run that maps sounds to sounds."""
    folder = _folder(run, split)
    folder.mkdir(exist_ok=True)
    found, tables = equalisation.evaluate_transformation(run, trained, settings, snapshots, split, notes, folder)
    plots.loss_curves(epochs.read(run), folder / "loss.png")
    facts = {"run": run.name, "model": settings.model, "data": {name: snapshots[name] for name in settings.data}}
    evaluation = Evaluation(folder, facts | {"split": split, "rows": found["notes"]} | found, tables)
    write_whole(folder / "metrics.json", json.dumps(evaluation.metrics, indent=2))
    write_whole(folder / "tables.md", evaluation.markdown() + "\n")
    return evaluation


def first_filters(network: torch.nn.Module) -> list[tuple[str, NDArray[Any]]]:
    """The filters that look at the spectrogram itself, by shape [shape=(count, bands, frames) each]; none for other networks."""
    found: list[tuple[str, NDArray[Any]]] = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == 1:
            count, _, bands, frames = module.weight.shape
            title = f"{count} filters of {bands} bands x {frames} frames"
            found.append((title, module.weight.detach().float().numpy()[:, 0]))
    return found


def _sounds(
    datasets: list[Dataset],
    rows: Rows,
    chosen: NDArray[np.int64],
    predicted: NDArray[np.float32],
    count: int,
    seed: int,
    folder: Path,
) -> tuple[dict[str, Any], Table]:
    """Re-render a sample of rows with the predictions and with the baselines; distances from the stored sounds."""
    rng = np.random.default_rng(seed)
    picked = np.sort(rng.choice(len(chosen), min(count, len(chosen)), replace=False))
    train = rows.where(0)
    everywhere = {
        "oracle": rows.labels[chosen],
        "model": predicted,
        "mean": metrics.mean_predictor(rows.labels[train], rows.own[train], len(chosen)),
        "random": metrics.random_predictor(len(chosen), predicted.shape[1], seed),
    }
    joined: dict[str, dict[str, list[float]]] = {
        name: {distance: [] for distance in sounds.DISTANCES} for name in everywhere
    }
    for number_, data in enumerate(datasets):
        mine = picked[rows.dataset[chosen[picked]] == number_]
        where = rows.row[chosen[mine]]
        predictions = {
            name: sounds.with_constants(data, where, rows.parameter_names, values[mine])
            for name, values in everywhere.items()
        }
        for name, each in sounds.compare(data, where.tolist(), predictions).items():
            for distance, values in each.items():
                joined[name][distance] += values.tolist()
    found = {name: {distance: np.array(values) for distance, values in each.items()} for name, each in joined.items()}
    plots.distances(found, folder / "sounds.png")
    medians = {
        name: {distance: float(np.median(values)) for distance, values in each.items()} for name, each in found.items()
    }
    table = Table(
        f"Sounds: parameters put back through the effect, median distance over {len(picked)} test rows",
        ("parameters", "MRSTFT", "log-mel dB", "PSD dB", "PSD summed squares"),
        tuple((name, *(number(medians[name][distance]) for distance in sounds.DISTANCES)) for name in medians),
        note="Oracle: the true parameters, so the floor that rendering itself leaves. Mean and random: what a model must beat.",
    )
    return {"rows": len(picked), "median": medians}, table
