"""A run of single notes on longer sounds: each note that is found in a phrase by itself, and all of a phrase together
(mean probability of a class, median of a parameter), as `predict` answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.rows import Rows, load_rows
from timbre_data.models.data.wet_and_dry import check_dry
from timbre_data.models.evaluation.tables import Table, number
from timbre_data.models.inference.predictor import Predictor
from timbre_data.models.inference.sound_files import cut_notes
from timbre_data.models.studies import other_data
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.checkpoints import Trained
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError

LONGER = 2
"""So many times as long as a note, or more, is a phrase."""
NOTES = 32
"""Notes of a phrase, at most."""


def are_phrases(trained: Trained, datasets: Sequence[Dataset]) -> bool:
    """Whether all sounds are much longer than those that a run of whole sounds takes, at its rate."""
    target = TARGETS.load(trained.target)
    if target.learns_from != "rows" or target.windows or not trained.samples:
        return False
    formats = [data.recipe.audio for data in datasets]
    return all(audio.rate == trained.rate and audio.samples >= LONGER * trained.samples for audio in formats)


def load_phrases(trained: Trained, datasets: Sequence[Dataset]) -> Rows:
    """The labels of phrases, with the classes of the run. Raises `UsageError` for what the run does not know."""
    target = TARGETS.load(trained.target)
    if target.task == "classification" and not target.names_effects:
        raise UsageError(f"phrases are scored by their effect; this run learned {trained.target}.")
    if trained.shape.dry:
        check_dry(datasets)
    rows = load_rows(datasets, (), "note", None, classes=target.classes)
    return other_data.fitted(replace(rows, feature_settings=trained.feature_settings), trained)


def score(
    run: Path, trained: Trained, datasets: Sequence[Dataset], rows: Rows, chosen: NDArray[np.int64]
) -> tuple[dict[str, Any], tuple[Table, ...]]:
    """Scores of some rows: metrics (the headlines are note by note) and a table of both ways of counting."""
    predictor = Predictor(run)
    notes, phrases, owner = [], [], []
    for position in chosen.tolist():
        data, row = datasets[int(rows.dataset[position])], int(rows.row[position])
        sound = np.ascontiguousarray(data.audio(row).mean(axis=0))
        starts = predictor.starts(sound)[:NOTES]
        cut = cut_notes(sound, starts, predictor.samples)
        dry = cut_notes(data.dry(row).mean(axis=0), starts, predictor.samples) if predictor.needs_dry else None
        probabilities, labels = predictor.predict_arrays(cut, np.full(len(cut), np.nan, np.float32), dry)
        each = probabilities if trained.task == "classification" else labels
        assert each is not None
        notes.append(each)
        phrases.append(each.mean(axis=0) if trained.task == "classification" else np.median(each, axis=0))
        owner += [position] * len(each)
    by_note, by_phrase, of_note = np.concatenate(notes), np.stack(phrases), np.array(owner)
    counts: dict[str, Any] = {"phrases": len(chosen), "notes": len(of_note)}
    if trained.task == "classification":
        return _classes(rows, (by_note, of_note), (by_phrase, chosen), counts)
    columns = other_data.columns_of(rows, trained)
    return _parameters(rows, (by_note[:, columns], of_note), (by_phrase[:, columns], chosen), counts)


Counted = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Predictions and the rows that they are of."""


def _classes(rows: Rows, by_note: Counted, by_phrase: Counted, counts: dict[str, Any]) -> Any:
    right = [(answer.argmax(axis=1) == rows.classes[of], rows.classes[of]) for answer, of in (by_note, by_phrase)]
    each = {
        name: {
            "recall": float(right[0][0][right[0][1] == k].mean()),
            "recall_by_phrase": float(right[1][0][right[1][1] == k].mean()),
        }
        for k, name in enumerate(rows.class_names)
        if (right[1][1] == k).any()
    }
    metrics = counts | {
        "accuracy": float(right[0][0].mean()),
        "accuracy_by_phrase": float(right[1][0].mean()),
        "classes": each,
    }
    lines = [("accuracy", metrics["accuracy"], metrics["accuracy_by_phrase"])]
    lines += [(f"recall: {name}", one["recall"], one["recall_by_phrase"]) for name, one in each.items()]
    return metrics, (_table(counts, lines),)


def _parameters(rows: Rows, by_note: Counted, by_phrase: Counted, counts: dict[str, Any]) -> Any:
    skills = []
    for answer, of in (by_note, by_phrase):
        clear = rows.mask[of] & rows.identifiable[of]
        skills.append([_skill(answer[:, k], rows.labels[of, k], clear[:, k]) for k in range(answer.shape[1])])
    each = {
        name: {"skill": skills[0][k], "skill_by_phrase": skills[1][k]} for k, name in enumerate(rows.parameter_names)
    }
    means = [float(np.nanmean(one)) for one in skills]
    metrics = counts | {"true": {"skill": means[0], "skill_by_phrase": means[1]}, "parameters_each": each}
    lines = [("mean skill, identifiable", means[0], means[1])]
    lines += [(f"skill: {name}", one["skill"], one["skill_by_phrase"]) for name, one in each.items()]
    return metrics, (_table(counts, lines),)


def _skill(answer: NDArray[Any], label: NDArray[Any], clear: NDArray[np.bool_]) -> float:
    """1 - MSE / variance of the labels, over the rows in which a parameter can be heard; NaN where it never is."""
    variance = float(label[clear].var()) if clear.any() else 0.0
    return 1 - float(((answer - label)[clear] ** 2).mean()) / variance if variance > 0 else float("nan")


def _table(counts: dict[str, Any], lines: Sequence[tuple[str, float, float]]) -> Table:
    return Table(
        f"{counts['notes']} notes found in {counts['phrases']} phrases",
        ("", "note by note", "over a phrase"),
        tuple((name, number(one), number(other)) for name, one, other in lines),
        note="Over a phrase: the mean probability of each class, the median of each parameter.",
    )
