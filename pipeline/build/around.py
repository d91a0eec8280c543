"""Drawing rows around presets instead of over the whole parameter space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from timbre_data.schemas.parameter import FloatArray, Parameter
from timbre_data.schemas.presets import PRESET, Presets
from timbre_data.schemas.space import ParameterSpace


@dataclass(frozen=True)
class Around:
    """The presets of one synth in its drawn space: `places` [shape=(presets, p)], NaN where something is off; `free`
    are the columns that are drawn as if there were no presets (fixed ones, and those that the recipe changes).
    """

    space: ParameterSpace
    spread: float
    places: FloatArray
    free: frozenset[int]

    @classmethod
    def of(cls, presets: Presets | None, space: ParameterSpace, changed: Mapping[str, object]) -> Self | None:
        """Presets of a synth whose drawing a recipe has `changed`; None where there are no presets."""
        if presets is None:
            return None
        places = np.full((len(presets.entries), len(space)), np.nan)
        for column, parameter in enumerate(space):
            if parameter.name in presets.parameters:
                k = presets.parameters.index(parameter.name)
                places[:, column] = [
                    np.nan if entry.places[k] is None else entry.places[k] for entry in presets.entries
                ]
        free = frozenset(
            column
            for column, parameter in enumerate(space)
            if parameter.name == PRESET
            or parameter.name not in presets.parameters
            or parameter.name in changed
            or parameter.distribution.type == "fixed"
        )
        return cls(space, presets.spread, places, free)

    def labels(self, probability: FloatArray, drawn: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalized labels around presets from uniform numbers, and from the labels `drawn` of them over the whole
        space [all shape=(n, p)].
        """
        which = np.zeros(len(drawn), np.int64)
        if PRESET in self.space.names:
            column = self.space.names.index(PRESET)
            which = np.rint(drawn[:, column] * (len(self.places) - 1)).astype(np.int64)
        labels = drawn.copy()
        for column, parameter in enumerate(self.space):
            if column not in self.free:
                labels[:, column] = self._one(parameter, probability[:, column], self.places[which, column])
        return labels

    def _one(self, parameter: Parameter, probability: FloatArray, preset: FloatArray) -> FloatArray:
        if parameter.steps:
            again = probability < self.spread  # those are uniform below the spread
            other = parameter.quantile(probability / max(self.spread, np.finfo(float).tiny) * again)
            grid = max(parameter.steps - 1, 1)
            return np.where(np.isnan(preset) | ~again, np.rint(preset * grid) / grid, other)
        from scipy.special import ndtri

        return parameter.quantise(
            np.clip(preset + self.spread * ndtri(np.clip(probability, 1e-12, 1 - 1e-12)), 0.0, 1.0)
        )
