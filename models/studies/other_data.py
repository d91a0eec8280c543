"""A run on data that it was not trained on: whether its outputs fit, which sounds are new to it, and how far they are
from those that it learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.learned import DESCRIPTOR, SAMPLE, Learned, described, some
from timbre_data.models.data.pairs import Pairs
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import Table, number
from timbre_data.models.targets import TARGETS
from timbre_data.models.training.checkpoints import Trained
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter

ALL = "all"
"""In place of a split: every row."""
FOLDS = 5
FURTHEST = 5
"""Features named that differ most."""


def refuse_other_formats(trained: Trained, datasets: Sequence[Dataset]) -> None:
    """Raise `UsageError` for sounds of another rate, or length where the network takes only one."""
    for data in datasets:
        audio = data.recipe.audio
        if audio.rate != trained.rate:
            raise UsageError(
                f"{data.name} has {audio.rate} Hz, the run learned {trained.rate} Hz: make it with that rate."
            )
        whole_sounds = trained.shape.samples and not TARGETS.load(trained.target).windows and trained.samples
        if whole_sounds and trained.task != "transformation" and audio.samples != trained.samples:
            raise UsageError(
                f"{data.name} has sounds of {audio.seconds:g} s, the run takes {trained.samples / trained.rate:g} s: make it with that length."
            )


def fitted(rows: Rows, trained: Trained) -> Rows:
    """Rows of other datasets with the classes of the run. Raises `UsageError` for classes or parameters that it does
    not know, and for features with other settings.
    """
    if rows.feature_settings != trained.feature_settings:
        raise UsageError(
            f"{', '.join(trained.features)} was made with other settings than those the run learned from: featurize with the same ones."
        )
    if trained.task == "regression":
        _refuse_other_parameters(rows, trained)
        return rows
    unknown = [name for name in rows.class_names if name not in trained.outputs]
    if unknown:
        raise UsageError(
            f"the run does not know {', '.join(unknown)} (it knows {', '.join(trained.outputs)}): leave these rows out with timbre-data dataset select."
        )
    places = np.array([trained.outputs.index(name) for name in rows.class_names], np.int64)
    present = np.zeros((len(rows.present), len(trained.outputs)), bool)
    present[:, places] = rows.present
    return replace(
        rows,
        present=present,
        classes=np.where(rows.classes >= 0, places[rows.classes], -1),
        class_names=trained.outputs,
        class_families=trained.families or ("other",) * len(trained.outputs),
    )


def _refuse_other_parameters(rows: Rows, trained: Trained) -> None:
    known = {one["name"]: Parameter.model_validate(one) for one in trained.parameters}
    if unknown := [name for name in rows.parameter_names if name not in known]:
        raise UsageError(f"the run does not know the parameters {', '.join(unknown)}; it knows {', '.join(known)}.")
    for one in map(Parameter.model_validate, rows.parameters):
        before = known[one.name]
        if (one.kind, one.bounds, one.positions) != (before.kind, before.bounds, before.positions):
            raise UsageError(f"{one.name} is {_range(one)} here, in the run {_range(before)}: make the data with that.")


def _range(parameter: Parameter) -> str:
    """The values of a parameter, for people."""
    if parameter.positions:
        return f"one of {', '.join(parameter.positions)}"
    low, high = parameter.bounds
    return f"{low:g} to {high:g} {parameter.unit_text} ({parameter.kind})".replace("  ", " ")


def columns_of(rows: Rows, trained: Trained) -> list[int]:
    """The outputs of the run for the columns of rows: all, or of a regressor those of the parameters that they have."""
    if trained.task != "regression":
        return list(range(len(trained.outputs)))
    return [trained.outputs.index(name) for name in rows.parameter_names]


def refuse_other_pairs(pairs: Pairs, trained: Trained) -> None:
    """Raise `UsageError` for pairs with other settings than the run knows."""
    names = tuple(one["name"] for one in trained.parameters)
    if (pairs.names, tuple(pairs.steps)) != (names, trained.effects):
        raise UsageError(
            f"{pairs.data.name} varies {', '.join((*pairs.names, *pairs.steps)) or 'nothing'}, the run learned {', '.join((*names, *trained.effects)) or 'one fixed setting'}."
        )


def distance(
    learned: Learned, datasets: Sequence[Dataset], rows: Sequence[NDArray[np.int64]], seed: int
) -> tuple[dict[str, Any], Table]:
    """How far sounds are from those that a run learned from, by the features of samples of both.

    A classifier is trained to tell the two samples apart (Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample
    tests"): the area under its ROC curve, cross-validated, is 0.5 for sounds of one kind and 1 for two. Beside it the
    median distance to the nearest learned sound, over that of learned sounds among each other.
    """
    share = -(-SAMPLE // len(datasets))
    other = np.concatenate(
        [described(data, some(np.unique(one), share, seed)) for data, one in zip(datasets, rows, strict=True)]
    )
    ours, theirs = learned.scaled(learned.sample), learned.scaled(other)
    features = FEATURE_SETS.load(DESCRIPTOR)
    names = np.array(features.columns(datasets[0].recipe.audio.rate, 4096, features.settings()).names)[learned.usable]
    apart = theirs.mean(axis=0)
    furthest = np.argsort(-np.abs(apart))[:FURTHEST].tolist()
    result: dict[str, Any] = {
        "sounds": [len(ours), len(theirs)],
        "auc": _told_apart(ours, theirs, seed),
        "nearest": _nearest(learned, other),
        "furthest": {str(names[k]): float(apart[k]) for k in furthest},
    }
    table = Table(
        "Distance from the sounds it learned on",
        ("told apart by a classifier (AUC)", "nearest learned sound", "features that differ most, in deviations"),
        (
            (
                number(result["auc"]),
                f"{result['nearest']:.2f} times as far as they are from each other",
                ", ".join(f"{name} {value:+.1f}" for name, value in result["furthest"].items()),
            ),
        ),
        note=f"By {DESCRIPTOR} of {len(ours)} learned and {len(theirs)} other sounds. AUC 0.5: one kind of sound, 1: two kinds.",
    )
    return result, table


def _told_apart(ours: NDArray[np.float32], theirs: NDArray[np.float32], seed: int) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    count = min(len(ours), len(theirs))
    if count < FOLDS:
        return float("nan")
    features = np.concatenate((ours, theirs))
    which = np.repeat([0, 1], [len(ours), len(theirs)])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    classifier = LogisticRegression(C=0.01, max_iter=1000, class_weight="balanced")
    scores = cross_val_predict(classifier, features, which, cv=folds, method="decision_function")
    return float(roc_auc_score(which, scores))


def _nearest(learned: Learned, other: NDArray[np.float32]) -> float:
    if len(learned.sample) < 2 or not len(other):
        return float("nan")
    among = float(np.median(learned.nearest()))
    return float(np.median(learned.nearest(other)) / max(among, 1e-12))


HEADLINES = {
    "accuracy": ("accuracy",),
    "exact set of effects": ("exact",),
    "mean ROC-AUC": ("roc_auc",),
    "mean skill": ("true", "skill"),
    "mean absolute error": ("true", "mae"),
    "loss": ("losses", "loss"),
    "loss of the input": ("identity", "loss"),
}
"""Figures of an evaluation that are set beside each other, and where they are among its metrics."""


def beside(own: Mapping[str, Any] | None, here: Mapping[str, Any]) -> Table:
    """The same figures on the sounds that a run was trained for (its test split) and on others: the headlines, then
    each class or parameter.
    """
    measured = {name: (_at(own or {}, path), _at(here, path)) for name, path in HEADLINES.items()}
    for key, kind, value in (("classes", "recall", "recall"), ("parameters_each", "skill", "skill")):
        ours, theirs = _each(own or {}, key, value), _each(here, key, value)
        measured |= {f"{kind}: {name}": (ours.get(name), theirs[name]) for name in theirs}
    rows = tuple(
        (name, *("-" if one is None else number(one) for one in pair))
        for name, pair in measured.items()
        if pair[1] is not None
    )
    return Table(
        "On the sounds that it was trained for, and on these",
        ("", "its own test split", "these sounds"),
        rows,
        note="" if own is not None else "Its own test split could not be evaluated here.",
    )


def _at(metrics: Mapping[str, Any], path: Sequence[str]) -> float | None:
    value: Any = metrics
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _each(metrics: Mapping[str, Any], key: str, value: str) -> dict[str, float]:
    """One figure of each class or parameter, by name."""
    found = metrics.get(key, {})
    return {str(name): float(one[value]) for name, one in found.items() if value in one}
