"""One parameter: its range, its unit, how it is drawn, and its way to and from [0, 1].

The normalized value is the label. One place knows the range; drawing, rendering, plots and error messages all ask it.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from timbre_data.schemas.base import Frozen

Kind = Literal["linear", "log", "db", "integer", "choice", "switch"]
FloatArray = NDArray[np.float64]


class Uniform(Frozen):
    """Uniform over the part [low, high] of the normalized range."""

    type: Literal["uniform"] = Field("uniform", description="kind of distribution")
    low: float = Field(0.0, ge=0, le=1, description="lowest normalized value")
    high: float = Field(1.0, ge=0, le=1, description="highest normalized value")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not exceed high ({self.high})")
        return self


class Normal(Frozen):
    """Normal in normalized units, clipped to [0, 1]."""

    type: Literal["normal"] = Field("normal", description="kind of distribution")
    mean: float = Field(0.5, ge=0, le=1, description="mean, normalized")
    sd: float = Field(gt=0, le=1, description="standard deviation, normalized")


class LogUniform(Frozen):
    """Uniform in the logarithm of the value, whatever the parameter's own scale."""

    type: Literal["log_uniform"] = Field("log_uniform", description="kind of distribution")


class Weighted(Frozen):
    """One weight per position of an integer, choice or switch."""

    type: Literal["weighted"] = Field("weighted", description="kind of distribution")
    weights: tuple[float, ...] = Field(min_length=1, description="one weight per position")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if min(self.weights) < 0 or sum(self.weights) <= 0:
            raise ValueError("weights must not be negative and must not all be zero")
        return self


class Fixed(Frozen):
    """Always the same value, in the parameter's own unit."""

    type: Literal["fixed"] = Field("fixed", description="kind of distribution")
    value: float = Field(description="the value, in the parameter's own unit")


class Sobol(Frozen):
    """Uniform, drawn from a scrambled Sobol sequence instead of independent numbers: fills the space evenly."""

    type: Literal["sobol"] = Field("sobol", description="kind of distribution")


Distribution = Annotated[Uniform | Normal | LogUniform | Weighted | Fixed | Sobol, Field(discriminator="type")]


class Condition(Frozen):
    """When a parameter means anything: while `parameter` (of the same effect) is one of `values`, or above `above`."""

    parameter: str = Field(description="parameter of the same effect that decides")
    values: tuple[float, ...] = Field((), description="values at which the condition holds")
    above: float | None = Field(None, description="the condition holds above this value")

    def holds(self, value: FloatArray) -> NDArray[np.bool_]:
        """Whether the condition holds for each physical value of the other parameter [shape=(n,)]."""
        if self.above is not None:
            return np.asarray(value > self.above)
        return np.asarray(np.isin(value, self.values))


class Parameter(Frozen):
    """A named quantity with bounds.

    `kind` is how the value runs over [0, 1]: "linear"; "log" (equal ratios); "db" (decibels, linear in dB); "integer"
    (whole numbers from low to high); "choice" (one of `positions`); "switch" (0 or 1). `resolution` is the step to
    which the *normalized* value is rounded. `midi_cc` and `midi_values` say which control change carries it and, for a
    choice, which of its 128 values starts each position.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_.]*$", description="name: lower case, digits, underscores and dots")
    low: float = Field(0.0, description="lowest value")
    high: float = Field(1.0, description="highest value")
    unit: str = Field("", description="unit of the values; 1 for a dimensionless one")
    kind: Kind = Field("linear", description="scale of the values over [0, 1]")
    positions: tuple[str, ...] = Field((), description="names of the positions of a choice")
    distribution: Distribution = Field(Uniform(), description="how values are drawn")
    resolution: float | None = Field(None, gt=0, le=0.5, description="step of the normalized value")
    midi_cc: int | None = Field(None, ge=0, le=127, description="control change that carries the value")
    midi_values: tuple[int, ...] = Field((), description="controller value at which each position starts")
    condition: Condition | None = Field(None, description="when the parameter applies")
    description: str = Field("", description="what the parameter does")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "choice" and len(self.positions) < 2:
            raise ValueError("a choice needs at least two positions")
        if self.kind != "choice" and self.positions:
            raise ValueError("only a choice has positions")
        if self.kind in ("linear", "log", "db", "integer") and not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if (self.kind == "log" or self.distribution.type == "log_uniform") and self.bounds[0] <= 0:
            raise ValueError("a logarithmic parameter needs a low bound above 0")
        if self.kind == "integer" and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("an integer parameter needs whole bounds")
        if isinstance(self.distribution, Weighted) and len(self.distribution.weights) != self.steps:
            raise ValueError(
                f"needs {self.steps or 'no'} weights (a {self.kind}), got {len(self.distribution.weights)}"
            )
        if isinstance(self.distribution, Fixed):
            low, high = self.bounds
            if not low <= self.distribution.value <= high:
                raise ValueError(
                    f"fixed value {self.distribution.value:g} is outside {low:g} to {high:g} {self.unit_text}".rstrip()
                )
            if self.steps and not self.distribution.value.is_integer():
                raise ValueError(
                    f"fixed value {self.distribution.value:g} lies between two positions of this {self.kind}"
                )
        if self.midi_values and len(self.midi_values) != len(self.positions):
            raise ValueError("midi_values needs one value per position")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value, in the parameter's own unit (a choice counts positions from 0)."""
        if self.kind == "choice":
            return 0.0, float(len(self.positions) - 1)
        if self.kind == "switch":
            return 0.0, 1.0
        return self.low, self.high

    @property
    def steps(self) -> int:
        """Number of positions of an integer, choice or switch; 0 for a continuous parameter."""
        low, high = self.bounds
        return int(high - low) + 1 if self.kind in ("integer", "choice", "switch") else 0

    def to_value(self, unit: ArrayLike) -> FloatArray:
        """Map normalized values in [0, 1] to values in the parameter's own unit (any shape)."""
        u = np.clip(np.asarray(unit, np.float64), 0.0, 1.0)
        low, high = self.bounds
        if self.kind == "log":
            return np.asarray(low * (high / low) ** u)
        value = low + (high - low) * u
        return np.asarray(np.rint(value) if self.steps else value)

    def to_unit(self, value: ArrayLike) -> FloatArray:
        """Map values in the parameter's own unit to [0, 1] (any shape); the inverse of `to_value`."""
        v = np.asarray(value, np.float64)
        low, high = self.bounds
        if self.kind == "log":
            return np.asarray(np.log(v / low) / np.log(high / low))
        return np.asarray((v - low) / (high - low))

    def quantile(self, probability: FloatArray) -> FloatArray:
        """Turn uniform numbers in [0, 1) into normalized draws by the inverse of the distribution function
        [shape=(n,)].
        """
        distribution_name = self.distribution
        if self.steps:
            return self._quantile_of_steps(probability)
        if isinstance(distribution_name, Uniform):
            unit = distribution_name.low + (distribution_name.high - distribution_name.low) * probability
        elif isinstance(distribution_name, Normal):
            inverse = NormalDist(distribution_name.mean, distribution_name.sd).inv_cdf
            unit = np.array([inverse(min(max(p, 1e-12), 1 - 1e-12)) for p in probability])
        elif isinstance(distribution_name, LogUniform):
            low, high = self.bounds
            unit = self.to_unit(low * (high / low) ** probability)
        elif isinstance(distribution_name, Fixed):
            return np.full_like(probability, self.to_unit(distribution_name.value))
        else:
            unit = probability
        return self.quantise(np.clip(unit, 0.0, 1.0))

    def quantise(self, unit: FloatArray) -> FloatArray:
        """Round normalized values to `resolution`."""
        if self.resolution is None:
            return unit
        return np.asarray(np.clip(np.rint(unit / self.resolution) * self.resolution, 0.0, 1.0))

    def _quantile_of_steps(self, probability: FloatArray) -> FloatArray:
        distribution_name = self.distribution
        if isinstance(distribution_name, Fixed):
            return np.full_like(probability, self.to_unit(distribution_name.value))
        if isinstance(distribution_name, Weighted):
            weights = np.asarray(distribution_name.weights)
        elif isinstance(distribution_name, Normal):
            inverse = NormalDist(distribution_name.mean, distribution_name.sd).inv_cdf
            unit = np.clip([inverse(min(max(p, 1e-12), 1 - 1e-12)) for p in probability], 0.0, 1.0)
            return np.asarray(np.rint(unit * (self.steps - 1)) / (self.steps - 1))
        elif isinstance(distribution_name, LogUniform):
            weights = 1.0 / np.arange(self.bounds[0], self.bounds[1] + 1)
        else:
            centres = np.linspace(0.0, 1.0, self.steps)
            low, high = (
                (distribution_name.low, distribution_name.high)
                if isinstance(distribution_name, Uniform)
                else (0.0, 1.0)
            )
            weights = ((centres >= low - 1e-9) & (centres <= high + 1e-9)).astype(np.float64)
            if not weights.any():
                weights[np.argmin(np.abs(centres - low))] = 1.0
        edges = np.cumsum(weights) / np.sum(weights)
        position = np.searchsorted(edges, probability, side="right")
        return np.asarray(np.minimum(position, self.steps - 1) / max(self.steps - 1, 1))

    @property
    def unit_text(self) -> str:
        """The unit as it stands behind a number: nothing for a dimensionless one."""
        return "" if self.unit == "1" else self.unit

    def summary(self) -> dict[str, object]:
        """Name, range, unit, kind and description, as plain data."""
        low, high = self.bounds
        fields: dict[str, object] = {"name": self.name, "low": low, "high": high, "unit": self.unit, "kind": self.kind}
        if self.positions:
            fields["positions"] = list(self.positions)
        return fields | {"description": self.description}

    def describe(self, unit: float) -> str:
        """A normalized value as a person reads it: "440 Hz", "sine", "on"."""
        value = float(self.to_value(unit))
        if self.kind == "choice":
            return self.positions[int(value)]
        if self.kind == "switch":
            return "on" if value else "off"
        return f"{value:.4g} {self.unit_text}".rstrip()
