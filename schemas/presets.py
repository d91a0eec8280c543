"""Patches that people made, as places in a parameter space: rows can be drawn around them."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from timbre_data.schemas.base import Frozen
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

PRESET = "preset"
"""Name of the parameter that says which preset a row was drawn around."""


class PresetEntry(Frozen):
    """One preset: where it is stored, the digest of its file, and the normalized value of each parameter; None where
    the preset has what a parameter turns switched off.
    """

    name: str = Field(description="name of the preset")
    file: str = Field("", description="its file below the folder; empty where the path is the file")
    number: int = Field(0, ge=0, description="its place in the file")
    digest: str = Field(description="SHA-256 of the file")
    places: tuple[float | None, ...] = Field(description="normalized value of each parameter, null where it is off")


class Presets(Frozen):
    """A bank or a folder of presets, and how far from them rows are drawn.

    A row takes one preset at random. Each of its continuous parameters is normal around the preset's value with the
    standard deviation `spread` (normalized, clipped to the range); a position is kept, or with probability `spread`
    drawn anew. `parameters` and `entries` are filled in when a recipe is read.
    """

    path: str = Field("", description="bank, or folder of presets; empty for the profile's own")
    spread: float = Field(
        0.1, ge=0, le=1, description="standard deviation around a preset, normalized; chance of another position"
    )
    parameters: tuple[str, ...] = Field((), description="filled in: the parameters that presets have values for")
    entries: tuple[PresetEntry, ...] = Field((), description="filled in: the presets")

    @field_validator("path", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if value is not None else ""

    @model_validator(mode="after")
    def _of_one_size(self) -> Self:
        for entry in self.entries:
            if len(entry.places) != len(self.parameters):
                raise ValueError(
                    f"preset {entry.name} has {len(entry.places)} values for {len(self.parameters)} parameters"
                )
            if any(place is not None and not 0 <= place <= 1 for place in entry.places):
                raise ValueError(f"preset {entry.name} has values outside of 0 to 1")
        return self


class AroundPresets(Frozen):
    """Settings of a synth that has presets."""

    presets: Presets | None = Field(None, description="presets that rows are drawn around; none: the whole space")

    @field_validator("presets", mode="before")
    @classmethod
    def _by_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _as_stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without presets where there are none: recipes stored before there were any stay the same."""
        data: dict[str, Any] = serialize(self)
        return {name: value for name, value in data.items() if name != "presets" or value is not None}


def space_around(space: ParameterSpace, presets: Presets | None) -> ParameterSpace:
    """A synth's space with, at its beginning, the preset of a row, where there is more than one."""
    if presets is None or len(presets.entries) < 2:
        return space
    names = tuple(entry.name for entry in presets.entries)
    which = Parameter(name=PRESET, kind="choice", positions=names, description="preset that the row was drawn around")
    return ParameterSpace(parameters=(which, *space))
