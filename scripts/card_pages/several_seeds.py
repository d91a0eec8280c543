"""Runs of several seeds: means, and intervals of differences that are paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def difference(names: Sequence[str], values: Sequence[NDArray[np.float64]], *, less: bool = False) -> list[str]:
    """The interval of the difference of two values, seed by seed, and which is better; `less` is better, or more.
    Nothing for too few seeds.
    """
    count = min(len(one) for one in values)
    if count < FEWEST:
        return []
    each = values[0][:count] - values[1][:count]
    low, high = stats.t.interval(0.95, count - 1, each.mean(), stats.sem(each))
    verdict = "no difference is shown"
    if low > 0 or high < 0:
        verdict = f"`{names[int((low > 0) == less)]}` is better"
    return [
        f"**`{names[0]}` minus `{names[1]}`, paired by seed**: {each.mean():+.4f}, 95 % confidence interval [{low:+.4f}, {high:+.4f}] over {count} seeds: {verdict}."
    ]


def paired(results: Results, runs: Mapping[str, Sequence[str]], key: str, what: str, title: str, row: str) -> list[str]:
    """Two networks with several seeds each (`runs`, seed by seed): means beside the paper's `row`, and the interval of
    their difference.
    """
    values = {name: np.array([results.metrics(run)[key] for run in each]) for name, each in runs.items()}
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
    return [text, *difference(list(values), list(values.values()))]
