"""Every setting has a description, and every parameter a description and a unit."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from pydantic import BaseModel

from timbre_data.pipeline.catalogue.shipped import shipped
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.pipeline.synths.capture.profiles import read_profile
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def settings_models() -> list[type[BaseModel]]:
    """Every model of settings in the package."""
    found: dict[str, type[BaseModel]] = {}
    for name in ("schemas", "pipeline", "models"):
        package = importlib.import_module(f"timbre_data.{name}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(value) and issubclass(value, BaseModel) and value.__module__ == module.name:
                    found[f"{module.name}.{value.__name__}"] = value
    return list(found.values())


@pytest.mark.parametrize("model", settings_models(), ids=lambda model: model.__name__)
def test_every_setting_is_described(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"


def parameters() -> list[tuple[str, Parameter]]:
    """Every parameter of every effect, of the synths that need no settings, and of the shipped profiles."""
    spaces = {name: EFFECTS.load(name).space for name in EFFECTS.names()}
    spaces |= {name: SYNTHS.load(name).space(SYNTHS.load(name).settings()) for name in ("subtractive", "vital")}
    spaces |= {name: read_profile(name).space() for name in shipped("profile")}
    return [(f"{name}.{parameter.name}", parameter) for name, space in spaces.items() for parameter in space]


def test_every_parameter_has_a_description_and_a_unit() -> None:
    for name, parameter in parameters():
        assert parameter.description, name
        assert parameter.unit or parameter.kind in ("choice", "switch"), name


def test_a_dimensionless_number_is_shown_without_unit() -> None:
    assert Parameter(name="mix", unit="1").describe(0.5) == "0.5"
    assert Parameter(name="mix", low=0, high=100, unit="ms").describe(0.5) == "50 ms"


def test_a_space_yields_its_parameters() -> None:
    space = ParameterSpace.of(Parameter(name="a"), Parameter(name="b"))
    assert [parameter.name for parameter in space] == ["a", "b"]
    assert len(space) == 2
