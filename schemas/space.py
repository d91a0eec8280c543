"""A parameter space: the parameters of one effect, synth or chain, in order, drawn and mapped together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, ValidationError, model_validator

from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import RecipeError
from timbre_data.schemas.parameter import Fixed, FloatArray, Parameter, Sobol, Uniform


class ParameterSpace(Frozen):
    """Parameters in label order. Iterating yields the parameters; `space["gain_db"]` finds one by name."""

    parameters: tuple[Parameter, ...] = Field((), description="the parameters in label order")

    @classmethod
    def of(cls, *parameters: Parameter) -> Self:
        """Make a space of the given parameters."""
        return cls(parameters=parameters)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"parameter names must differ, got {', '.join(self.names)}")
        for parameter in self.parameters:
            if parameter.condition and parameter.condition.parameter not in self.names:
                raise ValueError(f"{parameter.name} depends on unknown parameter {parameter.condition.parameter}")
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in label order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def sobol(self) -> bool:
        """Whether any parameter is drawn from a Sobol sequence."""
        return any(isinstance(parameter.distribution, Sobol) for parameter in self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[self.names.index(name)]

    def __iter__(self) -> Iterator[Parameter]:  # type: ignore[override]  # pydantic's own yields fields
        """Yield the parameters in label order."""
        yield from self.parameters

    def quantile(self, probability: FloatArray) -> NDArray[np.float32]:
        """Turn uniform numbers into normalized labels [shape=(n, p)]."""
        labels = np.empty(probability.shape, np.float32)
        for column, parameter in enumerate(self.parameters):
            labels[:, column] = parameter.quantile(probability[:, column])
        return labels

    def to_values(self, labels: ArrayLike) -> FloatArray:
        """Map normalized labels to physical values [shape=(n, p)]."""
        labels = np.asarray(labels)
        values = np.empty(labels.shape, np.float64)
        for column, parameter in enumerate(self.parameters):
            values[:, column] = parameter.to_value(labels[:, column])
        return values

    def active(self, values: FloatArray) -> NDArray[np.bool_]:
        """A mask of the parameters that apply to each row: their condition holds, and that of the one they depend on
        [shape=(n, p)].
        """
        mask = np.ones(values.shape, bool)
        for _ in self.parameters:  # conditions may chain; at most p links
            before = mask.copy()
            for column, parameter in enumerate(self.parameters):
                if parameter.condition:
                    other = self.names.index(parameter.condition.parameter)
                    mask[:, column] = parameter.condition.holds(values[:, other]) & mask[:, other]
            if np.array_equal(mask, before):
                break
        return mask

    def as_mapping(self, values: FloatArray) -> dict[str, float]:
        """Name one row of physical values [shape=(p,)]."""
        return dict(zip(self.names, values.tolist(), strict=True))

    def overridden(self, overrides: Mapping[str, object], *, where: str) -> ParameterSpace:
        """Return the space with drawing changed as a recipe asks.

        Each override is a number (fixed at that value), `[low, high]` (uniform between these values), or a mapping with
        `distribution` and `resolution`. The normalized range stays the parameter's own, so that labels of different
        recipes compare.

        Raises `RecipeError` naming the field, the value and what is allowed.
        """
        changed = dict(zip(self.names, self.parameters, strict=True))
        for name, override in overrides.items():
            field = f"{where}.{name}"
            if name not in changed:
                raise RecipeError(field, override, f"parameters are {', '.join(self.names) or 'none'}")
            changed[name] = _override(changed[name], override, field)
        return ParameterSpace(parameters=tuple(changed.values()))


def _override(parameter: Parameter, override: object, field: str) -> Parameter:
    low, high = parameter.bounds
    allowed = (
        f"a number from {low:g} to {high:g} {parameter.unit_text}".rstrip()
        + ", [low, high], or a mapping of distribution and resolution"
    )
    fields: dict[str, object]
    if isinstance(override, bool | int | float):
        fields = {"distribution": Fixed(value=float(override))}
    elif isinstance(override, str) and override in parameter.positions:
        fields = {"distribution": Fixed(value=parameter.positions.index(override))}
    elif (
        isinstance(override, list | tuple) and len(override) == 2 and all(isinstance(v, int | float) for v in override)
    ):
        if not low <= override[0] <= override[1] <= high:
            raise RecipeError(field, override, allowed)
        ends = parameter.to_unit(np.asarray(override, float))
        fields = {"distribution": Uniform(low=float(ends[0]), high=float(ends[1]))}
    elif isinstance(override, Mapping) and set(override) <= {"distribution", "resolution"}:
        fields = dict(override)
        if isinstance(fields.get("distribution"), str):
            fields["distribution"] = {"type": fields["distribution"]}
    else:
        raise RecipeError(field, override, allowed)
    try:
        return Parameter.model_validate(parameter.model_dump() | fields)
    except ValidationError as error:
        raise RecipeError(field, override, error.errors()[0]["msg"].removeprefix("Value error, ")) from None
