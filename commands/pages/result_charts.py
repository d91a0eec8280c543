"""What an evaluation shows in numbers: calibration, residuals, confusion."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.commands.pages.evaluated_rows import EvaluatedRows

BINS = 10
LEAST_IN_BIN = 10
"""Rows of a bin; fewer bins are made of few rows."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def calibration(evaluated: EvaluatedRows) -> list[dict[str, Any]]:
    """For each parameter, the mean true value where as much was predicted, in ten equally full bins; of classes, how
    often the named one was right where it was as probable.
    """
    if evaluated.regression:
        return [
            {"name": name} | _binned(evaluated.predicted[here, k], evaluated.labels[here, k])
            for k, name in enumerate(evaluated.outputs)
            if (here := evaluated.mask[:, k]).sum() >= LEAST_IN_BIN
        ]
    if evaluated.trained.multi_label:
        flat = _binned(evaluated.predicted.reshape(-1), evaluated.present.reshape(-1).astype(np.float32))
        return [{"name": "all classes"} | flat]
    guess = evaluated.predicted.argmax(axis=1)
    right = evaluated.present[np.arange(len(guess)), guess].astype(np.float32)
    return [{"name": "the class that was named"} | _binned(evaluated.predicted.max(axis=1), right)]


def _binned(predicted: NDArray[np.float32], true: NDArray[np.float32]) -> dict[str, Any]:
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, max(1, min(BINS, len(order) // LEAST_IN_BIN)))
    return {
        "predicted": [float(predicted[part].mean()) for part in parts],
        "true": [float(true[part].mean()) for part in parts],
        "rows": [len(part) for part in parts],
    }


def residuals(evaluated: EvaluatedRows) -> list[dict[str, Any]]:
    """For each parameter, quantiles of predicted less true, normalized, over rows in which it can be heard."""
    if not evaluated.regression:
        return []
    found = []
    for k, name in enumerate(evaluated.outputs):
        here = evaluated.identifiable[:, k]
        if here.any():
            rest = (evaluated.predicted[here, k] - evaluated.labels[here, k]).astype(np.float64)
            found.append(
                {
                    "name": name,
                    "rows": int(here.sum()),
                    "quantiles": np.quantile(rest, QUANTILES).tolist(),
                    "rmse": float(np.sqrt((rest**2).mean())),
                }
            )
    return found


def confusion(evaluated: EvaluatedRows) -> dict[str, Any] | None:
    """How many rows of each class were called what; None where a row has several or outputs are no classes."""
    if evaluated.regression or evaluated.trained.multi_label:
        return None
    true, guess = evaluated.present.argmax(axis=1), evaluated.predicted.argmax(axis=1)
    counts = np.zeros((len(evaluated.outputs),) * 2, np.int64)
    np.add.at(counts, (true, guess), 1)
    return {"names": list(evaluated.outputs), "counts": counts.tolist()}


def tables_of(markdown: str) -> list[dict[str, Any]]:
    """The tables of an evaluation's `tables.md`: title, header, rows and note of each."""
    tables = []
    for part in re.split(r"\n(?=\*\*)", markdown.strip()):
        lines = part.splitlines()
        if not lines or not lines[0].startswith("**"):
            continue
        cells = [
            [cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if line.startswith("|")
        ]
        notes = [line for line in lines[1:] if line and not line.startswith("|")]
        if len(cells) >= 2:
            tables.append(
                {"title": lines[0].strip("*"), "header": cells[0], "rows": cells[2:], "note": " ".join(notes)}
            )
    return tables
