"""The contract of feature sets: the declared shape, finite on anything, each row by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np

from timbre_data.commands.contracts._contract import Contract, sentence
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.schemas.arrays import Audio

RATE = 22_050
UNKNOWN = np.float32("nan")


class FeatureContract(Contract):
    """A feature set maps a batch of sounds to numbers."""

    @cached_property
    def features(self) -> Any:
        """The member that the module exposes."""
        return FEATURE_SETS.load(self.name)

    @cached_property
    def parsed_settings(self) -> Any:
        """Its settings."""
        return self.features.settings.model_validate(self.settings)

    @cached_property
    def sounds(self) -> Audio:
        """A decaying tone, noise, silence, a click, a constant, a square wave."""
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

    def compute(self, sounds: Audio, f0_hz: Any = None) -> Any:
        """The features of some sounds, by default of unknown pitch."""
        return self.features.compute(
            sounds, RATE, np.full(len(sounds), UNKNOWN) if f0_hz is None else f0_hz, self.parsed_settings
        )

    def check_has_the_declared_shape_and_names(self) -> None:
        """float32 (n, *columns.shape), with a name per column of a vector."""
        sentence(self.features.summary)
        columns = self.features.columns(RATE, self.sounds.shape[1], self.parsed_settings)
        values = self.compute(self.sounds)
        assert values.shape == (len(self.sounds), *columns.shape), f"declared {columns.shape}, got {values.shape[1:]}"
        assert values.dtype == np.float32, f"it returns {values.dtype}, not float32"
        if self.features.group == "features":
            assert len(set(columns.names)) == columns.shape[0], "not every column has a name of its own"

    def check_is_finite_on_silence_clicks_noise_and_constants(self) -> None:
        """Finite, also as stored."""
        values = self.compute(self.sounds)
        assert np.isfinite(values).all(), "not finite on silence, a click, noise or a constant"
        assert np.isfinite(values.astype(self.features.dtype)).all(), f"does not fit into {self.features.dtype}"

    def check_rows_do_not_depend_on_each_other(self) -> None:
        """A row's features are the same in any batch."""
        f0_hz = np.array([220, UNKNOWN, UNKNOWN, 100, 50, 110], np.float32)
        together = self.compute(self.sounds, f0_hz)
        for i in (5, 0, 3):
            alone = self.compute(self.sounds[i : i + 1], f0_hz[i : i + 1])
            assert np.array_equal(alone[0], together[i]), "a row's features depend on its batch"

    def check_is_thread_safe(self) -> None:
        """The same bytes in any thread."""
        once = self.compute(self.sounds)
        with ThreadPoolExecutor(4) as pool:
            repeats = list(pool.map(lambda _: self.compute(self.sounds), range(8)))
        assert all(np.array_equal(once, one) for one in repeats), "results differ between threads"

    def check_takes_any_length(self) -> None:
        """From a few milliseconds on."""
        for samples in (400, 2048, 33_075):
            sound = np.random.default_rng(1).uniform(-1, 1, (1, samples)).astype(np.float32)
            values = self.compute(sound)
            declared = self.features.columns(RATE, samples, self.parsed_settings).shape
            assert values.shape[1:] == declared, f"{samples} samples: declared {declared}, got {values.shape[1:]}"
            assert np.isfinite(values).all(), f"not finite on {samples} samples"


CONTRACT = FeatureContract
