"""How the labels of a dataset lie in their space: beside what was intended, together, and what was rejected."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.store.columns import ATTEMPT, MASK, PARAMS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import TimbreDataError
from timbre_data.schemas.parameter import Parameter

BINS = 24
CELLS = 8
"""Cells along each axis in which the coverage of two labels is counted."""
QUANTILES = 4096
REJECTED = 2_000
"""Rejected draws at most that are drawn again for the page."""
MANY = 24
"""Labels beyond which pairs are not counted."""


def described(parameter: Parameter, labels: NDArray[np.float32]) -> dict[str, Any]:
    """A parameter, the histogram of its normalized labels where it applies, and the intended one, in as many rows."""
    edges = _edges(parameter)
    intended = parameter.quantile((np.arange(QUANTILES) + 0.5) / QUANTILES)
    low, high = parameter.bounds
    return {
        "name": parameter.name,
        "unit": parameter.unit_text,
        "kind": parameter.kind,
        "low": low,
        "high": high,
        "positions": list(parameter.positions),
        "description": parameter.description,
        "applies": len(labels),
        "edges": _values(parameter, edges),
        "counts": _counted(parameter, labels, edges).tolist(),
        "intended": (_counted(parameter, intended, edges) * (len(labels) / QUANTILES)).tolist(),
    }


def _edges(parameter: Parameter) -> NDArray[np.float64]:
    """Edges of normalized bins: one for each position, or equal ones over the range."""
    if 0 < parameter.steps <= 2 * BINS:
        half = 0.5 / max(parameter.steps - 1, 1)
        return np.linspace(-half, 1 + half, parameter.steps + 1)
    return np.linspace(0, 1, BINS + 1)


def _counted(parameter: Parameter, labels: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many labels lie in each bin. Rounded ones stand for all that were rounded to them, and are shared between the
    bins that those lie in: otherwise bins would hold more or fewer of the steps.
    """
    if parameter.steps or not parameter.resolution:
        return np.histogram(labels, edges)[0].astype(np.float64)
    values, counts = np.unique(np.asarray(labels, np.float64), return_counts=True)
    low, high = (np.clip(values + sign * parameter.resolution / 2, 0, 1) for sign in (-1, 1))
    below = np.clip((edges[:, None] - low) / np.maximum(high - low, 1e-12), 0, 1)
    shared: NDArray[np.float64] = np.diff(below @ counts)
    return shared


def _values(parameter: Parameter, unit: NDArray[np.float64]) -> list[float]:
    low, high = parameter.bounds
    values = low + unit * (high - low) if parameter.steps else parameter.to_value(np.clip(unit, 0, 1))
    return [float(value) for value in values]


def histograms(data: Dataset) -> list[dict[str, Any]]:
    """Every parameter of a dataset, described."""
    rows = data.usable()
    labels, mask = data.read(PARAMS)[rows], data.read(MASK)[rows]
    return [described(parameter, labels[mask[:, k], k]) for k, parameter in enumerate(data.space)]


def coverage(data: Dataset) -> list[dict[str, Any]]:
    """For two labels at a time, the share of the cells of their plane that some row lies in, of those that each label
    reaches by itself; the emptiest first.
    """
    rows = data.usable()
    labels, mask = data.read(PARAMS)[rows], data.read(MASK)[rows]
    if labels.shape[1] > MANY:
        return []
    cells = np.minimum((labels * CELLS).astype(np.int64), CELLS - 1)
    found = []
    for one, other in combinations(range(labels.shape[1]), 2):
        both = mask[:, one] & mask[:, other]
        if not both.any():
            continue
        a, b = cells[both, one], cells[both, other]
        reached = len(np.unique(a)) * len(np.unique(b))
        names = data.space.names
        filled = len(np.unique(a * CELLS + b))
        found.append({"labels": [names[one], names[other]], "filled": filled, "cells": reached})
    return sorted(found, key=lambda pair: pair["filled"] / pair["cells"])


def rejected_draws(data: Dataset) -> dict[str, Any]:
    """How many draws were rejected, and their values: they are drawn again from the recipe [shape=(draws,
    parameters)].
    """
    if not data.has(ATTEMPT) or data.meta.get("kind") != "rendered":
        return {"count": 0, "values": []}
    attempts = data.read(ATTEMPT).astype(int)
    count = int(attempts.sum())
    rows = np.flatnonzero(attempts)[:REJECTED]
    if not len(rows):
        return {"count": count, "values": []}
    try:
        plan = Plan(data.recipe)
        values = [
            plan.chain.draw(data.recipe.seed, np.array([row]), attempt).values[0]
            for row in rows.tolist()
            for attempt in range(attempts[row])
        ][:REJECTED]
    except TimbreDataError:  # a member of somebody's own, or a program, that is not here
        values = []
    return {"count": count, "values": np.array(values).tolist()}
