"""Scores of classifiers: one effect a row, or all effects of a chain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from timbre_data.models.data.rows import INAUDIBLE_DB, Rows
from timbre_data.models.evaluation import intervals, metrics, plots, published
from timbre_data.models.evaluation.tables import EvaluationResult, Table, number


def multi_label(
    rows: Rows, row_indices: NDArray[np.int64], probabilities: NDArray[np.float32], split: str
) -> EvaluationResult:
    """Scores of a classifier that names every effect of a chain: each effect by itself, and all of a row right at
    once.
    """
    true, guess = rows.present[row_indices], probabilities > 0.5
    exact = float(accuracy_score(true, guess))
    precision, recall, f1, support = precision_recall_fscore_support(true, guess, average=None, zero_division=0)
    each = {
        name: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "accuracy": float((true[:, i] == guess[:, i]).mean()),
            "rows": int(support[i]),
        }
        for i, name in enumerate(rows.class_names)
    }
    table = Table(
        f"Effects of a chain: all of a row right in {100 * exact:.1f} % of {len(row_indices)} rows of the {split} split",
        ("effect", *(metric.heading for metric in metrics.CLASS_METRICS), "accuracy", "rows with it"),
        tuple(
            (name, *(number(v[metric.name]) for metric in metrics.CLASS_METRICS), number(v["accuracy"]), str(v["rows"]))
            for name, v in each.items()
        ),
    )
    return {"exact": exact, "classes": each}, (table,)


def one_class(
    rows: Rows,
    row_indices: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    about: Mapping[str, str],
    split: str,
    folder: Path,
) -> EvaluationResult:
    """Accuracy over all rows and over those in which the effect is audible, each class by itself, beside what is
    published of such a run (`about`, see `run_facts.facts`), and a picture of the confusion in `folder`.
    """
    true, guess = rows.classes[row_indices], probabilities.argmax(axis=1)
    names = rows.class_names
    audible = ~(rows.effect_db[row_indices] < INAUDIBLE_DB) | np.isin(  # unknown counts as audible
        true, [i for i, f in enumerate(rows.class_families) if f == "dry"]
    )
    scores = metrics.class_scores(guess, true, len(names))
    audible_scores = metrics.class_scores(guess[audible], true[audible], len(names))
    plots.confusion(scores.confusion, names, folder / "confusion.png")
    beside = published.beside(about, "accuracy")
    groups = rows.group[row_indices].astype(str)
    sure = intervals.of_mean(guess == true, groups)
    total = Table(
        f"Accuracy on the {split} split",
        ("rows", "accuracy", "95 % interval", "number"),
        (
            ("all", number(scores.accuracy), intervals.text(sure), str(scores.rows)),
            (
                f"effect audible ({INAUDIBLE_DB:g} dB or more)",
                number(audible_scores.accuracy),
                intervals.text(intervals.of_mean((guess == true)[audible], groups[audible])) if audible.any() else "-",
                str(audible_scores.rows),
            ),
            *((f"{one.name} ({one.said(about)})", number(one.values["accuracy"]), "-", "-") for one in beside),
        ),
        note="The paper's figures are on recordings and cannot be compared directly with rendered sounds."
        if beside
        else "",
    )
    result = {
        "accuracy": scores.accuracy,
        "interval": sure,
        "accuracy_audible": audible_scores.accuracy,
        "audible_rows": audible_scores.rows,
        "classes": scores.each(names),
        "confusion": scores.confusion.tolist(),
    }
    return result, (total, scores.table(names, "rows"))


def recognised(
    rows: Rows,
    row_indices: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    effects: tuple[str, ...],
    split: str,
    folder: Path,
) -> EvaluationResult:
    """Scores of the effects that a regressor tells beside their parameters: those whose parameters apply to a row."""
    mask = rows.mask[row_indices]
    there = np.stack([mask[:, [one == effect for one in rows.effects]].any(axis=1) for effect in effects], axis=1)
    one_each = there.sum(axis=1) == 1
    true, guess = there[one_each].argmax(axis=1), probabilities[one_each].argmax(axis=1)
    scores = metrics.class_scores(guess, true, len(effects))
    exact = float(((probabilities > 0.5) == there).all(axis=1).mean())
    sure = intervals.of_mean(guess == true, rows.group[row_indices][one_each].astype(str)) if one_each.any() else None
    plots.confusion(scores.confusion, effects, folder / "confusion.png")
    result = {
        "accuracy": scores.accuracy,
        "interval": sure,
        "exact": exact,
        "classes": scores.each(effects),
        "confusion": scores.confusion.tolist(),
    }
    total = Table(
        f"Effects recognised by the same network, {split} split",
        ("rows", "right", "95 % interval", "number"),
        (
            (
                "with one effect",
                number(scores.accuracy),
                "-" if sure is None else intervals.text(sure),
                str(scores.rows),
            ),
            ("all, every effect told", number(exact), "-", str(len(there))),
        ),
        note="Interval: bootstrap over dry notes.",
    )
    return result, (total, scores.table(effects, "rows"))
