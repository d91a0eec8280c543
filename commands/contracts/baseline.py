"""The contract of baselines: a scikit-learn classifier that learns, and that names its paper."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.models.baselines import BASELINES, Baseline


class BaselineContract(Contract):
    """A baseline builds an estimator from a seed."""

    @cached_property
    def baseline(self) -> Baseline:
        """The member that the module exposes."""
        return BASELINES.load(self.name)

    def check_says_what_it_is(self) -> None:
        """A summary, and a source with a year."""
        sentence(self.baseline.summary)
        assert any(word.strip(",.()").isdigit() for word in self.baseline.source.split()), "the source names no year"

    def check_separates_classes_reproducibly(self) -> None:
        """Separable classes are separated, and a seed gives the same predictions."""
        rng = np.random.default_rng(0)
        classes = rng.integers(0, 3, 400)
        features = rng.normal(size=(400, 20)) + 3 * np.eye(20)[classes]
        first, second = (self.baseline.build(0).fit(features[:300], classes[:300]) for _ in range(2))
        assert first.score(features[300:], classes[300:]) > 0.9, "it does not learn three separate classes"
        assert np.array_equal(first.predict(features), second.predict(features)), "one seed gives two estimators"


CONTRACT = BaselineContract
