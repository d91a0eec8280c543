"""Sounds rendered with predicted parameters, and their distances from the stored ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.evaluation import intervals, metrics, plots, sound_plots
from timbre_data.models.evaluation.distances import DISTANCES, JUDGE
from timbre_data.models.evaluation.resynthesis import rerender, with_constants
from timbre_data.models.evaluation.tables import Table, number, ranged
from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.schemas.arrays import Audio

if TYPE_CHECKING:
    from timbre_data.models.targets._target import Evaluated

PUBLISHED = "psd_mse"
"""The distance of Assayag's Figures 15 and 16."""
ANSWERS = 8
"""Draws of each row that are rendered, of a run that can draw."""


def evaluate(evaluated: Evaluated) -> tuple[dict[str, Any], Table]:
    """Render a sample of rows with the predictions and with baselines again; distances from the stored sounds, a table
    and a picture.
    """
    rows, row_indices, predicted = evaluated.row_predictions
    rng = np.random.default_rng(evaluated.seed)
    picked = np.sort(rng.choice(len(row_indices), min(evaluated.sounds, len(row_indices)), replace=False))
    train = rows.where(0)
    everywhere = {
        "oracle": rows.labels[row_indices],
        "model": predicted,
        "mean": metrics.mean_predictor(rows.labels[train], rows.mask[train], len(row_indices)),
        "random": metrics.random_predictor(len(row_indices), predicted.shape[1], evaluated.seed),
    }
    names = evaluated.distances
    judge = _picture_distance(evaluated)
    extremes = _Extremes(judge)
    draws = None if evaluated.draw is None else evaluated.draw(picked, ANSWERS)
    if draws is not None:
        for k in range(ANSWERS):
            everywhere[_answer(k)] = np.zeros_like(predicted)
            everywhere[_answer(k)][picked] = draws[:, k]
    joined: dict[str, dict[str, list[float]]] = {one: {distance: [] for distance in names} for one in everywhere}
    for number_, data in enumerate(evaluated.datasets):
        here = picked[rows.dataset[row_indices[picked]] == number_]
        where = rows.row[row_indices[here]]
        predictions = {
            one: with_constants(data, where, rows.parameter_names, values[here]) for one, values in everywhere.items()
        }
        for one, each in compare(data, where.tolist(), predictions, names, extremes).items():
            for distance, values in each.items():
                joined[one][distance] += values.tolist()
    measured = {one: {distance: np.array(values) for distance, values in each.items()} for one, each in joined.items()}
    if draws is not None:
        each_answer = [measured.pop(_answer(k)) for k in range(ANSWERS)]
        measured = {"one draw": each_answer[0], f"best of {ANSWERS} draws": _best(each_answer, names), **measured}
    headings = {distance: DISTANCES.load(distance).heading for distance in names}
    plots.distances(measured, headings, evaluated.folder / "sounds.png")
    shown = {one: measured[one][judge] for one in ("model", "mean")}
    sound_plots.distribution(shown, headings[judge], evaluated.folder / "distribution.png")
    examples = extremes.draw(evaluated.folder / "examples.png")
    medians = {
        one: {distance: float(np.median(values)) for distance, values in each.items()} for one, each in measured.items()
    }
    sure = {
        one: {distance: intervals.of_median(values) for distance, values in each.items()}
        for one, each in measured.items()
    }
    table = Table(
        f"Sounds rendered with predicted parameters: median distance over {len(picked)} rows of the {evaluated.split} split",
        ("parameters", *headings.values()),
        tuple((one, *(ranged(medians[one][distance], sure[one][distance]) for distance in names)) for one in medians),
        note="Oracle: the true parameters, hence the noise floor of rendering. Mean and random: baselines. "
        + ("" if draws is None else f"Best: the draw whose sound is nearest by {_judge(names)}. ")
        + "In brackets: 95 % intervals (bootstrap).",
    )
    return {"rows": len(picked), "median": medians, "intervals": sure, "examples": examples}, table


def _picture_distance(evaluated: Evaluated) -> str:
    """The distance of the pictures: the thesis's own for a synth, else the judge."""
    names = evaluated.distances
    played = all(Chain(data.recipe.chain).synth for data in evaluated.datasets)
    return PUBLISHED if played and PUBLISHED in names else _judge(names)


@dataclass
class _Extremes:
    """The nearest and the farthest sound of a run by one distance: the distance, dataset, row, and what was asked for
    and made.
    """

    distance: str
    found: dict[str, tuple[float, Dataset, int, Audio, Audio]] = field(default_factory=dict)

    def see(self, value: float, data: Dataset, row: int, target: Audio, made: Audio) -> None:
        """Keep a sound if none so far is nearer, or none farther."""
        if "best" not in self.found or value < self.found["best"][0]:
            self.found["best"] = (value, data, row, target, made)
        if "worst" not in self.found or value > self.found["worst"][0]:
            self.found["worst"] = (value, data, row, target, made)

    def draw(self, path: Path) -> dict[str, dict[str, Any]]:
        """Draw both, if there are any; returns which rows they are."""
        if not self.found:
            return {}
        rate = next(iter(self.found.values()))[1].recipe.audio.rate
        pairs = {f"{title} ({number(one[0])})": (one[3], one[4]) for title, one in self.found.items()}
        sound_plots.examples(pairs, rate, path)
        return {
            title: {"data": data.name, "row": row, self.distance: value}
            for title, (value, data, row, _, _) in self.found.items()
        }


def _answer(number_: int) -> str:
    return f"draw {number_}"


def _judge(names: Sequence[str]) -> str:
    """The distance by which the nearest of several sounds is chosen."""
    return JUDGE if JUDGE in names else names[0]


def _best(answers: Sequence[Mapping[str, NDArray[np.float64]]], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The distances of each row's nearest answer."""
    nearest = np.stack([answer[_judge(names)] for answer in answers]).argmin(axis=0)
    return {name: np.stack([answer[name] for answer in answers])[nearest, np.arange(len(nearest))] for name in names}


def compare(
    data: Dataset,
    rows: Sequence[int],
    predictions: Mapping[str, NDArray[np.float32]],
    distances: Sequence[str],
    extremes: _Extremes | None = None,
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Distances of re-rendered predictions from the stored sounds: predictor -> distance -> [shape=(rows,)].

    `predictions` maps a predictor to normalized parameters of the dataset's own space [shape=(rows, p)].
    """
    chain, rate = Chain(data.recipe.chain), data.recipe.audio.rate
    computed = {name: DISTANCES.load(name).compute for name in distances}
    measured: dict[str, dict[str, list[float]]] = {
        name: {distance: [] for distance in distances} for name in predictions
    }
    try:
        for k, row in enumerate(rows):
            target = data.audio(row).mean(axis=0)
            for name, labels in predictions.items():
                made = rerender(data, chain, row, labels[k]).mean(axis=0)
                for distance, compute in computed.items():
                    measured[name][distance].append(compute(made, target, rate))
                if extremes is not None and name == "model":
                    extremes.see(measured[name][extremes.distance][-1], data, row, target, made)
    finally:
        close_instruments()
    return {name: {distance: np.array(values) for distance, values in each.items()} for name, each in measured.items()}
