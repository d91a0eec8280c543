"""Errors of predicted parameters, in the published convention and truly; scores of predicted classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.evaluation.tables import Table, number

Numbers = NDArray[np.float64]
NO_ERROR = 1e-12
"""A mean squared error of normalized values that is rounding alone."""


@dataclass(frozen=True)
class RegressionErrors:
    """Errors of one predictor. `published_*` average over all rows and columns with the entries of other effects at
    zero; `mse` and `mae` over those that apply.
    """

    mse: float
    mae: float
    published_mse: float
    published_mae: float
    mse_each: Numbers
    mae_each: Numbers
    published_mae_each: Numbers


def regression_errors(predicted: NDArray[Any], labels: NDArray[Any], mask: NDArray[np.bool_]) -> RegressionErrors:
    """Measure predictions [shape=(n, p)] against labels, where `mask` [shape=(n, p)] says which entries apply to a
    row.
    """
    error = np.where(mask, predicted.astype(np.float64) - labels, 0.0)
    squared, absolute, counts = (error**2).sum(axis=0), np.abs(error).sum(axis=0), mask.sum(axis=0)
    safe = np.where(counts, counts, np.nan)
    rows = len(error)
    return RegressionErrors(
        mse=float(squared.sum() / counts.sum()),
        mae=float(absolute.sum() / counts.sum()),
        published_mse=float(squared.sum() / error.size),
        published_mae=float(absolute.sum() / error.size),
        mse_each=squared / safe,
        mae_each=absolute / safe,
        published_mae_each=absolute / rows,
    )


def skills(errors: RegressionErrors, baseline: RegressionErrors) -> Numbers:
    """1 - MSE over a baseline's MSE, of each parameter [shape=(p,)]: 1 without an error; NaN where the baseline has
    none, as the mean has none of a parameter that never moves.
    """
    there = np.asarray(baseline.mse_each)
    return 1 - np.asarray(errors.mse_each) / np.where(there > NO_ERROR, there, np.nan)


def mean_predictor(labels: NDArray[Any], mask: NDArray[np.bool_], count: int) -> NDArray[np.float32]:
    """Predict each parameter's mean over the training rows [shape=(count, p)]: what a model must beat."""
    counts = mask.sum(axis=0)
    means = np.where(counts, np.where(mask, labels, 0.0).sum(axis=0, dtype=np.float64) / np.maximum(counts, 1), 0.5)
    return np.tile(means.astype(np.float32), (count, 1))


def random_predictor(count: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Predict uniform numbers [shape=(count, width)]."""
    return np.random.default_rng(seed).random((count, width), dtype=np.float32)


@dataclass(frozen=True)
class Metric:
    """A score of each class: its name in JSON, its heading in tables, and how it is computed from `ClassScores`
    [shape=(classes,)].
    """

    name: str
    heading: str
    compute: Callable[[ClassScores], Numbers]


@dataclass(frozen=True)
class ClassScores:
    """Scores of predicted classes; `confusion` [shape=(true, predicted)]."""

    accuracy: float
    rows: int
    precision: Numbers
    recall: Numbers
    f1: Numbers
    support: Numbers
    confusion: NDArray[np.int64]

    def each(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """The scores of every class, by name."""
        columns = {metric.name: metric.compute(self) for metric in CLASS_METRICS}
        return {name: {key: float(values[i]) for key, values in columns.items()} for i, name in enumerate(names)}

    def table(self, names: Sequence[str], what: str) -> Table:
        """The same for people, with how many `what` what each class has."""
        rows = [
            (name, *(number(value) for value in one.values()), str(int(self.support[i])))
            for i, (name, one) in enumerate(self.each(names).items())
        ]
        return Table("Classes", ("class", *(metric.heading for metric in CLASS_METRICS), what), tuple(rows))


CLASS_METRICS = (
    Metric("precision", "precision", lambda scores: scores.precision),
    Metric("recall", "recall", lambda scores: scores.recall),
    Metric("f1", "F1", lambda scores: scores.f1),
)
"""The scores of a class; tables and JSON follow from them."""


def class_scores(predicted: NDArray[np.int64], true: NDArray[np.int64], classes: int) -> ClassScores:
    """Accuracy, and precision, recall and F1 of each class (scikit-learn; 0 where undefined)."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = list(range(classes))
    precision, recall, f1, support = precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    accuracy = float((predicted == true).mean()) if len(true) else float("nan")
    return ClassScores(
        accuracy, len(true), precision, recall, f1, support, confusion_matrix(true, predicted, labels=labels)
    )
