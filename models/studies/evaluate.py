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

from timbre_data.models.architectures.eq_autoencoder import EqOptions
from timbre_data.models.data import learned
from timbre_data.models.data.opening import open_named
from timbre_data.models.data.pairs import Pairs
from timbre_data.models.data.rows import contents_of
from timbre_data.models.evaluation import epochs, plots
from timbre_data.models.evaluation.distances import DISTANCES
from timbre_data.models.evaluation.tables import StudyResult, Table
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.layers.film import Film
from timbre_data.models.studies import other_data, phrase_scores
from timbre_data.models.studies.cost import cost_of
from timbre_data.models.targets import TARGETS
from timbre_data.models.targets._target import Evaluated
from timbre_data.models.training import checkpoints, runs
from timbre_data.models.training.preparing import prepare
from timbre_data.pipeline.catalogue.effect import FAMILIES
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.store.columns import SPLITS, check_split
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import LeakingSplitError, NotFoundError, UsageError

FOLDER = "evaluation"
"""Of the test split; evaluations of other splits and on other data lie beside it."""
METRICS = "metrics.json"
"""Written last: where it is, an evaluation is complete."""


def evaluate(
    run: Path,
    *,
    data: Sequence[str] = (),
    split: str | None = None,
    allow_leak: bool = False,
    sounds: int = 48,
    distances: Sequence[str] | None = None,
    seed: int = 0,
) -> StudyResult:
    """Evaluate a finished run: on one split (by default "test") of the snapshots it was trained on, or on other
    datasets `data` with the same parameters or classes, there on all rows of sounds that it has not learned, or on a
    split of them.

    Raises `LeakingSplitError` when test rows share dry notes with training rows, unless `allow_leak`, and `UsageError`
    for datasets that do not fit the run.
    """
    made, trained = runs.open_run(run), checkpoints.load(run)
    target = TARGETS.load(trained.target)
    datasets = _opened(made, data)
    other = bool(data) and contents_of(datasets, made.settings.features or ()) != made.contents
    split = split or (other_data.ALL if other else "test")
    if not (other and split == other_data.ALL):
        check_split(split)
    settings = made.settings
    phrases = other and phrase_scores.are_phrases(trained, datasets)
    if other:
        if not phrases:
            other_data.refuse_other_formats(trained, datasets)
        settings = settings.model_copy(update={"data": tuple(data), "limit": None, "train_rows": None, "hold_out": ()})
    evaluated = Evaluated(
        run=run,
        trained=trained,
        settings=settings,
        datasets=datasets,
        split=split,
        folder=run / _folder(datasets if other else [], split),
        sounds=sounds,
        distances=list(distances or DISTANCES.names()),
        seed=seed,
        learned=learned.load(run) if other else None,
    )
    facts: dict[str, Any] = {
        "run": run.name,
        "model": made.settings.model,
        "parameters": parameter_count(trained.network.network),
        "data": {name: one.snapshot for name, one in zip(settings.data, datasets, strict=True)},
        "split": split,
    }
    head: tuple[Table, ...] = ()
    tail: tuple[Table, ...] = ()
    if phrases:
        rows = phrase_scores.load_phrases(trained, datasets)
        new, known = _new_rows(evaluated, rows.split, rows.dataset, rows.row, allow_leak)
        evaluated = replace(evaluated, rows=rows, row_indices=new)
        facts |= {"rows": len(new), "learned_rows": known}
    elif target.learns_from == "rows":
        evaluated, spent, head, tail = _predict(evaluated, facts, allow_leak, other=other)
        facts |= spent
    elif other:
        evaluated, spent = _new_pairs(evaluated, allow_leak)
        facts |= spent
    own = _own(run, sounds, distances) if other else None
    facts["about"] = evaluated.about
    (evaluated.folder / METRICS).unlink(missing_ok=True)
    evaluated.folder.mkdir(exist_ok=True)
    if phrases:
        assert evaluated.rows is not None
        assert evaluated.row_indices is not None
        result, tables = phrase_scores.score(run, trained, datasets, evaluated.rows, evaluated.row_indices)
    else:
        result, tables = target.evaluate(evaluated)
    plots.loss_curves(epochs.read(run), evaluated.folder / "loss.png")
    if target.learns_from == "rows" and not phrases:
        _keep(evaluated)
    if other:
        facts["distance"], table = _distance(evaluated)
        tail = (*tail, *([table] if table else []))
        head = (*head, other_data.beside(own, facts | result))
    evaluation = StudyResult(evaluated.folder, facts | result, (*head, *tables, *tail))
    write_whole(evaluation.folder / "tables.md", evaluation.markdown() + "\n")
    write_whole(evaluation.folder / METRICS, json.dumps(evaluation.metrics, indent=2))
    return evaluation


def _own(run: Path, sounds: int, distances: Sequence[str] | None) -> dict[str, Any] | None:
    """The metrics of a run on its own test split, evaluated now where they were not; None where its datasets are not at
    hand, or leak.
    """
    found = is_evaluated(run)
    if found is not None:
        return found
    try:
        return evaluate(run, sounds=sounds, distances=distances).metrics
    except (NotFoundError, LeakingSplitError):
        return None


def _opened(made: runs.Run, data: Sequence[str]) -> list[Dataset]:
    """The datasets to evaluate on: those named, or those of the run."""
    if data:
        return [open_named(name) for name in data]
    try:
        return [open_named(name, made.snapshots[name]) for name in made.settings.data]
    except NotFoundError as error:
        raise NotFoundError(
            f"{str(error).rstrip('.')}. The run was trained on it; to evaluate it on another dataset, give that with --data."
        ) from None


def _folder(others: Sequence[Dataset], split: str) -> str:
    """Where an evaluation lies in a run's folder."""
    name = "-".join([FOLDER, *(["on", *(data.name for data in others)] if others else [])])[:150]
    return name if split == (other_data.ALL if others else "test") else f"{name}-{split}"


def _new_pairs(evaluated: Evaluated, allow_leak: bool) -> tuple[Evaluated, dict[str, Any]]:
    """The pairs of another dataset that the run has not learned."""
    data = evaluated.datasets[0]
    if len(evaluated.datasets) > 1:
        raise UsageError("this run learned one transformation: give one dataset.")
    pairs = Pairs(data, EqOptions.model_validate(evaluated.trained.options).level_db)
    other_data.refuse_other_pairs(pairs, evaluated.trained)
    dataset = np.zeros(len(pairs.rows), np.int64)
    new, known = _new_rows(evaluated, pairs.split, dataset, pairs.rows, allow_leak)
    return replace(evaluated, row_indices=new), {"learned_rows": known}


def _new_rows(
    evaluated: Evaluated,
    split: NDArray[np.uint8],
    dataset: NDArray[np.int64],
    row: NDArray[np.int64],
    allow_leak: bool,
) -> tuple[NDArray[np.int64], int]:
    """Which rows of other datasets, given their split, dataset and number there [shape=(n,) each], to evaluate on, and
    how many of the split are of sounds that the run has learned.
    """
    every = evaluated.split == other_data.ALL
    chosen = np.arange(len(row)) if every else np.flatnonzero(split == SPLITS.index(evaluated.split))
    if not len(chosen):
        raise UsageError(f"the {evaluated.split} split is empty: render more rows.")
    known = np.zeros(len(row), bool)
    for number, data in enumerate(evaluated.datasets if evaluated.learned is not None else ()):
        assert evaluated.learned is not None
        known[dataset == number] = evaluated.learned.knows(data, row[dataset == number])
    new = chosen if allow_leak else chosen[~known[chosen]]
    if not len(new):
        raise LeakingSplitError(
            f"{evaluated.run.name} has learned the sounds of all {len(chosen)} rows: its scores on them would be too good. Ask for it with --allow-leak."
        )
    return new, int(known[chosen].sum())


def _distance(evaluated: Evaluated) -> tuple[dict[str, Any] | None, Table | None]:
    """How far other datasets are from what the run learned; None for runs of older versions, which do not keep it."""
    if evaluated.learned is None or not len(evaluated.learned.sample):
        return None, None
    assert evaluated.row_indices is not None
    rows = evaluated.rows
    per_dataset = [
        evaluated.datasets[0].usable()[evaluated.row_indices]
        if rows is None
        else rows.row[evaluated.row_indices][rows.dataset[evaluated.row_indices] == k]
        for k in range(len(evaluated.datasets))
    ]
    return other_data.distance(evaluated.learned, evaluated.datasets, per_dataset, evaluated.seed)


def _predict(
    evaluated: Evaluated, facts: dict[str, Any], allow_leak: bool, *, other: bool
) -> tuple[Evaluated, dict[str, Any], tuple[Table, ...], tuple[Table, ...]]:
    """Load the rows and predict those of the split; what is known of them, the table before all others, and what it
    cost.
    """
    settings, trained, run = evaluated.settings, evaluated.trained, evaluated.run
    needed = None if evaluated.split == other_data.ALL else (SPLITS.index(evaluated.split),)
    rows, probabilities = prepare(settings, list(evaluated.datasets), run if settings.conditioning else None, needed)
    leaks, said = 0, str(settings.split)
    if other:
        rows = other_data.fitted(rows, trained)
        row_indices, known = _new_rows(evaluated, rows.split, rows.dataset, rows.row, allow_leak)
        said = f"{evaluated.split}, {known} rows of learned sounds {'kept in (leak)' if allow_leak else 'left out'}"
    else:
        leaks = len(rows.leaking_groups())
        if leaks and not allow_leak:
            raise LeakingSplitError(
                f"{run.name} was trained with --split {settings.split}: {leaks} dry notes are in both training and test, so its scores are too good. Train with --split note, or ask for it with --allow-leak."
            )
        said += " (leaks)" if leaks else ""
        row_indices, known = rows.where(SPLITS.index(evaluated.split)), 0
    if not len(row_indices):
        raise UsageError(f"the {evaluated.split} split is empty: render more rows.")
    outputs = trained.raw(
        torch.from_numpy(rows.features[row_indices]),
        None if probabilities is None else probabilities[row_indices],
        rows.sounds(row_indices),
    )
    predicted, recognised = trained.decoded(outputs).numpy(), trained.recognised(outputs)
    columns = other_data.columns_of(rows, trained) if other else list(range(predicted.shape[1]))
    predicted = predicted[:, columns]
    numbers = rows.row[row_indices] + (rows.dataset[row_indices] << 32)

    def draw(places: NDArray[np.int64], count: int) -> NDArray[np.float32]:
        return trained.draw(outputs[places], numbers[places], count, evaluated.seed)[:, :, columns]

    about = replace(evaluated, rows=rows, row_indices=row_indices).about
    cost, price = cost_of(run, trained, evaluated.datasets, rows, row_indices, probabilities, about)
    head = Table(
        f"{run.name}, {'on other data' if other else f'{evaluated.split} split'}",
        ("model", "parameters", "rows of" if other else "split by", "rows", "data"),
        ((settings.model, str(facts["parameters"]), said, str(len(row_indices)), ", ".join(settings.data)),),
    )
    spent = {"split_rule": settings.split, "rows": len(row_indices), "leaking_notes": leaks, "cost": cost}
    if other:
        spent["learned_rows"] = known
    evaluated = replace(
        evaluated,
        rows=rows,
        row_indices=row_indices,
        predicted=predicted,
        recognised=None if recognised is None else recognised.numpy(),
        draw=draw if trained.draws else None,
    )
    return evaluated, spent, (head,), (price,)


def _keep(evaluated: Evaluated) -> None:
    """Predictions, and a picture of first-layer filters where a network has some."""
    rows, row_indices, predicted = evaluated.row_predictions
    if shapes := first_filters(evaluated.trained.network):
        plots.filters(shapes, evaluated.folder / "filters.png")
    if modulated := last_modulation(evaluated.trained.network):
        plots.modulations(*modulated, FAMILIES, evaluated.folder / "film.png")
    np.savez_compressed(
        evaluated.folder / "predictions.npz",
        predicted=predicted,
        row=rows.row[row_indices],
        dataset=rows.dataset[row_indices],
    )


def is_evaluated(run: Path, data: Sequence[str] = ()) -> dict[str, Any] | None:
    """The metrics of a run's test split, or on other datasets as they are now; None where that evaluation is not
    complete.
    """
    others = [open_named(name) for name in data]
    path = run / _folder(others, other_data.ALL if others else "test") / METRICS
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    current = {name: one.snapshot for name, one in zip(data, others, strict=True)}
    return found if not others or found["data"] == current else None


def last_modulation(network: torch.nn.Module) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Gamma and beta of the last FiLM layer for each class alone [shape=(classes, channels) both]; None for a network
    without one.
    """
    films = [module for module in network.modules() if isinstance(module, Film)]
    if not films:
        return None
    certain = torch.eye(films[-1].gamma.in_features)
    with torch.inference_mode():
        return films[-1].gamma(certain).numpy(), films[-1].beta(certain).numpy()


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
