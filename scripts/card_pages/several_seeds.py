"""Runs of several seeds: means, and intervals of differences that are paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import getitem

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from card_pages import Results, table
from timbre_data.models.evaluation.published import PONS

FEWEST = 3
"""Seeds for an interval."""


def seeds(results: Results, stem: str) -> list[str]:
    """The runs that are called so, with a seed behind."""
    return sorted(run for run in results.runs if run.rpartition("-")[0] == stem)


def by_seed(results: Results, runs: Sequence[str], *keys: str) -> dict[int, float]:
    """A metric of each run, at nested `keys`, by the run's seed."""
    return {results.runs[run]["settings"]["seed"]: reduce(getitem, keys, results.metrics(run)) for run in runs}


def mean_interval(each: NDArray[np.float64]) -> tuple[float, float, float]:
    """The mean of one value a seed [shape=(n,)], and its 95 % confidence interval (Student's t)."""
    low, high = stats.t.interval(0.95, len(each) - 1, each.mean(), stats.sem(each))
    return float(each.mean()), float(low), float(high)


def difference(names: Sequence[str], values: Sequence[Mapping[int, float]], *, less: bool = False) -> list[str]:
    """The interval of the difference of two values (by seed, each), seed by seed over those that both have, and which
    is better; `less` is better, or more. Nothing for too few seeds.
    """
    both = sorted(values[0].keys() & values[1].keys())
    count = len(both)
    if count < FEWEST:
        return []
    mean, low, high = mean_interval(np.array([values[0][seed] - values[1][seed] for seed in both]))
    verdict = "no difference is shown"
    if low > 0 or high < 0:
        verdict = f"`{names[int((low > 0) == less)]}` is better"
    return [
        f"**`{names[0]}` minus `{names[1]}`, paired by seed**: {mean:+.4f}, 95 % confidence interval [{low:+.4f}, {high:+.4f}] over {count} seeds: {verdict}."
    ]


def paired(results: Results, runs: Mapping[str, Sequence[str]], key: str, what: str, title: str, row: str) -> list[str]:
    """Two networks with several seeds each (`runs`, seed by seed): means beside the paper's `row`, and the interval of
    their difference.
    """
    found = {name: by_seed(results, each, key) for name, each in runs.items()}
    values = {name: np.array(list(each.values())) for name, each in found.items()}
    rows = [
        (
            name,
            str(results.metrics(each[0])["parameters"]),
            f"{values[name].mean():.4f}",
            f"{values[name].std(ddof=1):.4f}" if len(each) > 1 else "-",
            str(len(each)),
            results.paper(each[0], f"{PONS}, {row.format(name.capitalize())}", key),
        )
        for name, each in runs.items()
        if each
    ]
    if not rows:
        return []
    text = table(title, ("network", "parameters", f"mean {what}", "deviation", "seeds", "paper, on recordings"), rows)
    return [text, *difference(list(found), list(found.values()))]
