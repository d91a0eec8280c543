"""Scores of classifiers: one effect a row, or all effects of a chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.rows import INAUDIBLE_DB, Rows
from timbre_data.models.evaluation import metrics, plots, published
from timbre_data.models.evaluation.tables import Table, number


def several_labels(
    rows: Rows, chosen: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> tuple[dict[str, Any], tuple[Table, ...]]:
    """Scores of a classifier that names every effect of a chain: each effect by itself, and all of a row right at once."""
    true, guess = rows.present[chosen], probabilities > 0.5
    exact = float((true == guess).all(axis=1).mean())
    each = {}
    for i, name in enumerate(rows.class_names):
        hit = float((true[:, i] & guess[:, i]).sum())
        precision, recall = hit / max(guess[:, i].sum(), 1), hit / max(true[:, i].sum(), 1)
        each[name] = {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / max(precision + recall, 1e-12),
            "accuracy": float((true[:, i] == guess[:, i]).mean()),
            "rows": int(true[:, i].sum()),
        }
    table = Table(
        f"Effects of a chain: all of a row right in {100 * exact:.1f} % of {len(chosen)} rows",
        ("effect", "precision", "recall", "F1", "accuracy", "rows with it"),
        tuple(
            (name, *(number(v[key]) for key in ("precision", "recall", "f1", "accuracy")), str(v["rows"]))
            for name, v in each.items()
        ),
    )
    return {"exact": exact, "classes": each}, (table,)


def classification(
    rows: Rows, chosen: NDArray[np.int64], probabilities: NDArray[np.float32], folder: Path
) -> tuple[dict[str, Any], tuple[Table, ...]]:
    """Accuracy over all rows and over those in which the effect is audible, each class by itself, and a picture of the confusion in `folder`."""
    true, guess = rows.classes[chosen], probabilities.argmax(axis=1)
    names = rows.class_names
    audible = ~(rows.effect_db[chosen] < INAUDIBLE_DB) | np.isin(  # unknown counts as audible
        true, [i for i, f in enumerate(rows.class_families) if f == "dry"]
    )
    scores = metrics.class_scores(guess, true, len(names))
    heard = metrics.class_scores(guess[audible], true[audible], len(names))
    plots.confusion(scores.confusion, names, folder / "confusion.png")
    total = Table(
        "Accuracy",
        ("rows", "accuracy", "number"),
        (
            ("all", number(scores.accuracy), str(scores.rows)),
            (f"effect audible ({INAUDIBLE_DB:g} dB or more)", number(heard.accuracy), str(heard.rows)),
            *((f"paper, up to: {name}", number(value), "-") for name, value in published.CLASSIFICATION.items()),
        ),
        note="The paper's figures are on the real recordings of IDMT-SMT-Audio-Effects, ours on rendered sounds: they stand side by side, they do not compete.",
    )
    found = {
        "accuracy": scores.accuracy,
        "accuracy_audible": heard.accuracy,
        "audible_rows": heard.rows,
        "classes": scores.each(names),
        "confusion": scores.confusion.tolist(),
    }
    return found, (total, scores.table(names, "rows"))
