"""Bootstrap intervals hold the truth as often as they say, and know that rows of one note err alike."""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap

from timbre_data.models.evaluation import intervals


def test_an_interval_is_scipys() -> None:
    values = np.random.default_rng(0).gamma(2, size=300)
    ours = intervals.of_mean(values, np.arange(300))
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert np.allclose(ours, (theirs.low, theirs.high), atol=0.02)
    median = intervals.of_median(values)
    theirs = bootstrap((values,), np.median, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert np.allclose(median, (theirs.low, theirs.high), atol=0.05)


def test_the_truth_lies_in_it() -> None:
    """95 % of 400 experiments with 60 notes of 20 rows each, whose errors depend on the note; rows alone would say far
    too small an interval.
    """
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 20)
    held, held_by_rows = 0, 0
    for _ in range(400):
        errors = np.repeat(rng.normal(size=60), 20) + rng.normal(size=1200)
        low, high = intervals.of_mean(errors, groups)
        held += low < 0 < high
        low, high = errors.mean() + np.array([-1.96, 1.96]) * errors.std() / np.sqrt(1200)
        held_by_rows += low < 0 < high
    assert 0.91 < held / 400 < 0.98
    assert held_by_rows / 400 < 0.6
