"""Every feature set: the declared shape, finite on anything, each row on its own, the same bytes in any batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from timbre_data.pipeline.catalogue import registry
from timbre_data.pipeline.catalogue.feature_set import FeatureSet
from timbre_data.schemas.arrays import Audio

RATE = 22_050
UNKNOWN = np.float32("nan")


@pytest.fixture(scope="module")
def sounds() -> Audio:
    rng = np.random.default_rng(0)
    t = np.arange(11_025) / RATE
    return np.stack(
        [
            np.sin(2 * np.pi * 220 * t) * np.exp(-4 * t),
            rng.uniform(-1, 1, len(t)),
            np.zeros(len(t)),
            np.eye(1, len(t), 5000)[0],
            np.full(len(t), 0.5),
            np.sign(np.sin(2 * np.pi * 110 * t)),
        ]
    ).astype(np.float32)


@pytest.mark.parametrize("name", registry.names("feature"))
class TestFeatures:
    def test_has_the_declared_shape_and_names(self, name: str, sounds: Audio) -> None:
        features: FeatureSet = registry.load("feature", name)
        settings = features.settings()
        columns = features.columns(RATE, sounds.shape[1], settings)
        values = features.compute(sounds, RATE, np.full(len(sounds), UNKNOWN), settings)
        assert values.shape == (len(sounds), *columns.shape)
        assert values.dtype == np.float32
        if features.group == "features":
            assert len(set(columns.names)) == columns.shape[0]

    def test_is_finite_on_silence_clicks_noise_and_dc(self, name: str, sounds: Audio) -> None:
        features: FeatureSet = registry.load("feature", name)
        values = features.compute(sounds, RATE, np.full(len(sounds), UNKNOWN), features.settings())
        assert np.isfinite(values).all()
        assert np.isfinite(values.astype(features.dtype)).all()

    def test_rows_do_not_see_each_other(self, name: str, sounds: Audio) -> None:
        features: FeatureSet = registry.load("feature", name)
        settings, f0_hz = features.settings(), np.array([220, UNKNOWN, UNKNOWN, 100, 50, 110], np.float32)
        together = features.compute(sounds, RATE, f0_hz, settings)
        for i in (5, 0, 3):
            alone = features.compute(sounds[i : i + 1], RATE, f0_hz[i : i + 1], settings)
            assert np.array_equal(alone[0], together[i])

    def test_threads_do_not_see_each_other(self, name: str, sounds: Audio) -> None:
        features: FeatureSet = registry.load("feature", name)
        f0_hz = np.full(len(sounds), UNKNOWN)
        once = features.compute(sounds, RATE, f0_hz, features.settings())
        with ThreadPoolExecutor(4) as pool:
            for again in pool.map(lambda _: features.compute(sounds, RATE, f0_hz, features.settings()), range(8)):
                assert np.array_equal(once, again)

    @pytest.mark.parametrize("samples", [400, 2048, 33_075])
    def test_any_length(self, name: str, samples: int) -> None:
        features: FeatureSet = registry.load("feature", name)
        sound = np.random.default_rng(1).uniform(-1, 1, (1, samples)).astype(np.float32)
        values = features.compute(sound, RATE, np.full(1, UNKNOWN), features.settings())
        assert values.shape[1:] == features.columns(RATE, samples, features.settings()).shape
        assert np.isfinite(values).all()
