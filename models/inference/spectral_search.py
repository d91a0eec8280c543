"""A search for settings that sound closer: the real effect, played again and again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from timbre_data.models.evaluation.distances.mrstft import measured, stft_loss
from timbre_data.pipeline.build.chain import Chain
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.recipe import Recipe

SIGMA = 0.12
"""Deviation of the first tries of a search, as a share of a range."""


@dataclass(frozen=True)
class Task:
    """Sounds to match: dry and target [shape=(n, samples)], true normalized labels and order of each row, and the
    recipe of the chain.
    """

    recipe: Recipe
    dry: Audio
    target: Audio
    labels: NDArray[np.float32]
    order: NDArray[np.int8]

    def take(self, rows: NDArray[np.int64]) -> Task:
        """Some of the rows."""
        return Task(self.recipe, self.dry[rows], self.target[rows], self.labels[rows], self.order[rows])


def render_labels(recipe: Recipe, dry: Audio, labels: NDArray[np.float64], order: NDArray[np.int8]) -> Audio:
    """Each dry sound through the chain with its normalized labels, at full scale [shape=(n, samples)]."""
    chain = Chain(recipe.chain)
    values = chain.space.to_values(np.clip(labels, 0, 1))
    out = np.empty(dry.shape, np.float32)
    for k in range(len(dry)):
        wet = chain.render(dry[k : k + 1], recipe.audio.rate, values[k], order[k])[0]
        out[k] = wet / max(float(np.abs(wet).max()), 1e-4)
    return out


def spectral_loss() -> nn.Module:
    """The loss of the distance `mrstft`: log magnitude and spectral convergence, with a hop of a quarter (auraloss)."""
    loss: nn.Module = stft_loss(0.25, 1.0, 0.0)
    return loss


def distances(made: Audio, target: Audio) -> NDArray[np.float64]:
    """MRSTFT of each pair of sounds [shape=(n,)]."""
    return np.array([measured(spectral_loss(), *pair) for pair in zip(made, target, strict=True)])


def search_one(
    task: Task, start: NDArray[np.float32], mask: NDArray[np.bool_], evaluations: int, seed: int
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Search for the labels of a single row that sound closest by MRSTFT: labels [shape=(p,)], and the distances before
    and after.
    """

    def distance(labels: NDArray[np.float64]) -> NDArray[np.float64]:
        each = task.take(np.zeros(len(labels), np.int64))
        return distances(render_labels(each.recipe, each.dry, labels, each.order), each.target)

    return search(distance, start, mask, evaluations, seed)


def search(
    distance: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    start: NDArray[np.float32],
    mask: NDArray[np.bool_],
    evaluations: int,
    seed: int,
    spread: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Normalized labels [shape=(p,)] with a small `distance` (a function of labels [shape=(k, p)], to [shape=(k,)]),
    by CMA-ES from `start` on over those that `mask` says may change; and the distances before and after.

    `spread` [shape=(p,)] says how far from the start each may lie, as a deviation; without, 0.12 of its range.
    """
    import cma

    columns = np.flatnonzero(mask)
    best = start.copy()

    def distance_of(units: NDArray[np.float64]) -> NDArray[np.float64]:
        labels = np.tile(start.astype(np.float64), (len(units), 1))
        labels[:, columns] = units
        return distance(labels)

    begin = np.clip(start[columns].astype(np.float64), 0, 1)
    before = least = float(distance_of(begin[None])[0])
    if not len(columns):
        return best, (before, least)
    if len(columns) == 1:  # a line, for which CMA-ES is not made
        line = np.linspace(0, 1, evaluations)[:, None]
        measured = distance_of(line)
        if measured.min() < least:
            least, best[columns] = float(measured.min()), line[int(measured.argmin())]
        return best, (before, least)
    rng = np.random.default_rng(seed)
    settings: dict[str, Any] = {
        "bounds": [0, 1],
        "seed": float("nan"),  # its own generator instead: rows are searched in several threads at once
        "randn": lambda *shape: rng.standard_normal(shape),
        "verbose": -9,
        "maxfevals": evaluations,
        "tolfun": 1e-4,
    }
    if spread is not None:
        settings["CMA_stds"] = np.clip(spread[columns] / SIGMA, 0.1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = cma.CMAEvolutionStrategy(np.clip(begin, 0.001, 0.999), SIGMA, settings)
        while not strategy.stop():
            tried = strategy.ask()
            measured = distance_of(np.asarray(tried))
            strategy.tell(tried, measured.tolist())
            if measured.min() < least:
                least, best[columns] = float(measured.min()), tried[int(measured.argmin())]
    return best, (before, least)
