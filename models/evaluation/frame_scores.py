"""Scores of classifiers of frames, beside the paper's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import metrics, plots, published
from timbre_data.models.evaluation.tables import EvaluationResult, Table, number


def evaluate_frames(
    rows: Rows,
    row_indices: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    about: Mapping[str, str],
    split: str,
    folder: Path,
) -> EvaluationResult:
    """Score probabilities of the chosen frames [shape=(n, classes)]: accuracy over all frames and of each recording,
    and each class; beside what is published of such a run (`about`, see `run_facts.facts`).
    """
    true, guess, names = rows.classes[row_indices], probabilities.argmax(axis=1), rows.class_names
    scores = metrics.class_scores(guess, true, len(names))
    recordings, recording_of_row = np.unique(rows.group[row_indices].astype(str), return_inverse=True)
    each = np.bincount(recording_of_row, guess == true) / np.bincount(recording_of_row)
    train = rows.classes[rows.where(0)]
    common = int(np.bincount(train).argmax())
    always = float((true == common).mean())
    plots.confusion(scores.confusion, names, folder / "confusion.png")
    beside = published.beside(about, "accuracy")
    total = Table(
        f"Frame accuracy on the {split} split",
        ("of", "accuracy", "frames"),
        (
            ("all frames", number(scores.accuracy), str(len(row_indices))),
            (f"mean over {len(recordings)} recordings", number(float(each.mean())), "-"),
            (f"always {names[common]}", number(always), "-"),
            *((f"{one.name} ({one.said(about)})", number(one.values["accuracy"]), "-") for one in beside),
        ),
        note="The paper's figure is on real singing." if beside else "",
    )
    result = {
        "accuracy": scores.accuracy,
        "accuracy_recordings": dict(zip(recordings.tolist(), each.tolist(), strict=True)),
        "accuracy_of_the_commonest": always,
        "classes": scores.each(names),
        "confusion": scores.confusion.tolist(),
    }
    return result, (total, scores.table(names, "frames"))
