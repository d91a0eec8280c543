"""Table B.1 as printed: the variance of each series, and all else as it is."""

from __future__ import annotations

import numpy as np

from timbre_data.pipeline.features import FEATURE_SETS


def test_deviations_are_squared_and_nothing_else_is() -> None:
    sounds = np.random.default_rng(0).uniform(-1, 1, (3, 8000)).astype(np.float32)
    plain, printed = (FEATURE_SETS.load(name) for name in ("autofx163", "autofx163_variance"))
    settings = plain.settings()
    ours, theirs = (one.compute(sounds, 22_050, np.full(3, 220, np.float32), settings) for one in (printed, plain))
    names, before = (one.columns(22_050, 8000, settings).names for one in (printed, plain))
    squared = [k for k, name in enumerate(names) if name.endswith("_variance")]
    assert len(squared) == 24
    for k, (name, was) in enumerate(zip(names, before, strict=True)):
        if k in squared:
            assert was == name.replace("_variance", "_std")
            assert np.allclose(ours[:, k], theirs[:, k] ** 2)
        else:
            assert was == name
            assert np.array_equal(ours[:, k], theirs[:, k])
