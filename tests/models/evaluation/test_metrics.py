"""The published convention, checked with the figures that the paper's table itself implies."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from timbre_data.models.evaluation import metrics, published
from timbre_data.models.evaluation.tables import Table, number

OWN = np.zeros((30_000, 15), bool)
OWN[:10_000, :5] = OWN[10_000:20_000, 5:8] = OWN[20_000:, 8:] = True
LABELS = np.random.default_rng(0).random(OWN.shape).astype(np.float32)


def test_the_constant_half_scores_what_the_reference_says() -> None:
    """MSE .0278 and MAE .083 in the published convention; 1/12 and 1/4 truly."""
    errors = metrics.regression_errors(np.full_like(LABELS, 0.5), LABELS, OWN)
    assert errors.published_mse == pytest.approx(0.0278, abs=2e-4)
    assert errors.published_mae == pytest.approx(0.083, abs=1e-3)
    assert errors.mse == pytest.approx(1 / 12, abs=1e-3)
    assert errors.mae == pytest.approx(1 / 4, abs=1e-3)
    assert np.allclose(errors.published_mae_each * 3, errors.mae_each)


def test_foreign_entries_do_not_count() -> None:
    nonsense = np.where(OWN, LABELS, 99).astype(np.float32)
    errors = metrics.regression_errors(nonsense, LABELS, OWN)
    assert errors.mse == errors.mae == errors.published_mse == 0


def test_the_mean_predictor_is_the_training_mean() -> None:
    predicted = metrics.mean_predictor(LABELS, OWN, 3)
    assert predicted.shape == (3, 15)
    assert predicted[0, 6] == pytest.approx(LABELS[10_000:20_000, 6].mean(), abs=1e-6)


def test_class_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    true, guess = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    scores = metrics.class_scores(guess, true, 4)
    assert scores.accuracy == sklearn.metrics.accuracy_score(true, guess)
    assert np.allclose(scores.f1, sklearn.metrics.f1_score(true, guess, average=None))
    assert scores.confusion.sum() == 500


def test_published_tables_are_whole() -> None:
    assert len(published.COLUMNS) == len(set(published.COLUMNS)) == 15
    assert all(len(row) == 15 for row in published.MAE.values())
    assert published.MAE.keys() == published.MSE.keys()


def test_tables_line_up() -> None:
    lines = Table("T", ("a", "long header"), (("1", "2"), ("333", "4"))).markdown().splitlines()[2:]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0100441, "0.01"), (0.00998675, "0.00999"), (None, "-"), (float("nan"), "-"), (12.3456, "12.3")],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text
