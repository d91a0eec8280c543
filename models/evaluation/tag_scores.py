"""Scores of classifiers of tags: of pieces and of whole clips, by threshold and by ranking, beside the papers'
tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import metrics, plots, published
from timbre_data.models.evaluation.tables import EvaluationResult, Table, number

MEAN_THRESHOLD = 0.2
"""Of a clip's mean probability, from which a tag counts as there (Pons et al. 2017)."""
RELATIVE_THRESHOLD = 0.5
"""Of a clip's summed probabilities divided by the largest (Han et al. 2017)."""

GROUP, SHOWN = 10, 12
"""Clips from which a group is scored by itself, and how many groups are shown."""


def evaluate_tags(
    rows: Rows,
    row_indices: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    about: Mapping[str, str],
    split: str,
    folder: Path,
) -> EvaluationResult:
    """Score probabilities of the chosen pieces [shape=(n, k)], each piece by itself and averaged over the pieces of a
    clip; beside what is published of such a run (`about`, see `run_facts.facts`).
    """
    names = rows.class_names
    clips, piece_of = np.unique(rows.clip[row_indices], return_inverse=True)
    pieces = np.bincount(piece_of)[:, None]
    summed = np.zeros((len(clips), len(names)))
    np.add.at(summed, piece_of, probabilities)
    true = np.zeros((len(clips), len(names)), bool)
    np.logical_or.at(true, piece_of, rows.present[row_indices])
    mean = summed / pieces
    result: dict[str, Any] = {"clips": len(clips), "pieces": len(row_indices)}
    tables: list[Table] = []
    if (true.sum(axis=1) == 1).all():
        answer, right = mean.argmax(axis=1), true.argmax(axis=1)
        scores = metrics.class_scores(answer, right, len(names))
        piece_accuracy = float((probabilities.argmax(axis=1) == rows.present[row_indices].argmax(axis=1)).mean())
        result |= {
            "accuracy": scores.accuracy,
            "accuracy_pieces": piece_accuracy,
            "confusion": scores.confusion.tolist(),
        }
        plots.confusion(scores.confusion, names, folder / "confusion.png")
        tables.append(
            Table(
                f"Accuracy on the {split} split, one tag a clip",
                ("of", "accuracy", "number"),
                (
                    ("clips", number(scores.accuracy), str(len(clips))),
                    ("pieces", number(piece_accuracy), str(len(row_indices))),
                    *((f"{one.name} ({one.said(about)})", number(one.values["accuracy"]), "-") for one in published.beside(about, "accuracy")),
                ),
            )
        )  # fmt: skip
        first = np.unique(piece_of, return_index=True)[1]
        result["groups"] = group_scores(rows.group[row_indices[first]], answer, right, names)
        if result["groups"]:
            tables.append(_group_table(result["groups"]))
    result["thresholds"] = {
        f"mean > {MEAN_THRESHOLD:g}": _scores(mean > MEAN_THRESHOLD, true),
        f"sum / largest > {RELATIVE_THRESHOLD:g}": _scores(
            summed / np.maximum(summed.max(axis=1, keepdims=True), 1e-12) > RELATIVE_THRESHOLD, true
        ),
    }
    tables.append(_threshold_table(result["thresholds"], about))
    each = {name: _ranking(mean[:, i], true[:, i]) for i, name in enumerate(names)}
    ranked = [one for one in each.values() if one["roc_auc"] is not None]
    result["tags"] = each
    result["roc_auc"] = float(np.mean([one["roc_auc"] for one in ranked])) if ranked else None
    result["pr_auc"] = float(np.mean([one["pr_auc"] for one in ranked])) if ranked else None
    by_itself = precision_recall_fscore_support(true, mean > MEAN_THRESHOLD, zero_division=0)
    tables.append(
        Table(
            f"Tags: mean ROC-AUC {number(result['roc_auc']) if ranked else '-'}, PR-AUC {number(result['pr_auc']) if ranked else '-'} over {len(ranked)} of {len(names)} tags",
            ("tag", "clips with it", "ROC-AUC", "PR-AUC", "precision", "recall", "F1"),
            tuple(
                (
                    name,
                    str(each[name]["clips"]),
                    *("-" if each[name][key] is None else number(each[name][key]) for key in ("roc_auc", "pr_auc")),
                    *(number(float(by_itself[column][i])) for column in range(3)),
                )
                for i, name in enumerate(names)
            ),
            note=" ".join(
                f"{one.name}: {one.values['roc_auc']:g} ({one.said(about)})."
                for one in published.beside(about, "roc_auc")
            ),
        )
    )
    return result, tuple(tables)


def group_scores(
    group: NDArray[np.object_], answer: NDArray[np.int64], right: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Accuracy over the clips of every group of `GROUP` clips and more, the worst first, and what most of its other
    clips are taken for.
    """
    result: dict[str, dict[str, Any]] = {}
    every, group_of_row, counts = np.unique(group.astype(str), return_inverse=True, return_counts=True)
    for group_number in np.flatnonzero(counts >= GROUP).tolist():
        in_group = group_of_row == group_number
        wrong = np.bincount(answer[in_group & (answer != right)], minlength=len(names))
        result[str(every[group_number])] = {
            "clips": int(counts[group_number]),
            "accuracy": float((answer == right)[in_group].mean()),
            "taken_for": names[int(wrong.argmax())] if wrong.any() else None,
        }
    return dict(sorted(result.items(), key=lambda item: item[1]["accuracy"]))


def _group_table(groups: dict[str, dict[str, Any]]) -> Table:
    accuracies = [one["accuracy"] for one in groups.values()]
    return Table(
        f"What is kept together, the {min(SHOWN, len(groups))} worst of {len(groups)} with {GROUP} clips and more",
        ("group", "clips", "accuracy", "taken for"),
        tuple(
            (name, str(one["clips"]), number(one["accuracy"]), one["taken_for"] or "-")
            for name, one in list(groups.items())[:SHOWN]
        ),
        note=f"Every group counted once, the mean is {number(float(np.mean(accuracies)))}; {sum(one >= 0.9 for one in accuracies)} have 0.9 and more. All are in metrics.json.",
    )


def _scores(guess: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, float]:
    """Micro and macro precision, recall and F1 (scikit-learn; 0 where undefined)."""
    result: dict[str, float] = {}
    for average in ("micro", "macro"):
        values = precision_recall_fscore_support(true, guess, average=average, zero_division=0)
        result |= {f"{average}_{name}": float(value) for name, value in zip(("precision", "recall", "f1"), values[:3], strict=True)}  # fmt: skip
    return result


def _ranking(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> dict[str, Any]:
    """Areas under the ROC and the precision-recall curve; None where all clips or none have the tag."""
    known = true.any() and not true.all()
    return {
        "clips": int(true.sum()),
        "roc_auc": float(roc_auc_score(true, scores)) if known else None,
        "pr_auc": float(average_precision_score(true, scores)) if known else None,
    }


def _threshold_table(thresholds: dict[str, dict[str, float]], about: Mapping[str, str]) -> Table:
    columns = [f"{average}_{name}" for average in ("micro", "macro") for name in ("precision", "recall", "f1")]
    rows = [(name, *(number(scores[column]) for column in columns)) for name, scores in thresholds.items()]
    for one in published.beside(about, "micro_f1"):
        rows.append((f"{one.name} ({one.said(about)})", *(number(one.values[column]) for column in columns)))
    return Table(
        "Which tags are there, by threshold",
        ("threshold", *(column.replace("_", " ").replace("f1", "F1") for column in columns)),
        tuple(rows),
    )
