from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from timbre_data.schemas.errors import RecipeError
from timbre_data.schemas.parameter import Condition, Fixed, LogUniform, Normal, Parameter, Uniform, Weighted
from timbre_data.schemas.space import ParameterSpace

LINEAR = Parameter(name="mix", low=-3, high=5)
LOG = Parameter(name="cutoff_hz", low=20, high=20_000, kind="log")
CHOICE = Parameter(name="wave", kind="choice", positions=("sine", "saw", "square"))
INTEGER = Parameter(name="voices", kind="integer", low=1, high=8)
SWITCH = Parameter(name="on", kind="switch")


@given(st.floats(0, 1))
@pytest.mark.parametrize("parameter", [LINEAR, LOG])
def test_continuous_parameters_map_there_and_back(parameter: Parameter, unit: float) -> None:
    assert parameter.to_unit(parameter.to_value(unit)) == pytest.approx(unit, abs=1e-9)


@pytest.mark.parametrize("parameter", [CHOICE, INTEGER, SWITCH])
def test_every_position_maps_there_and_back(parameter: Parameter) -> None:
    low, high = parameter.bounds
    values = np.arange(low, high + 1)
    assert np.array_equal(parameter.to_value(parameter.to_unit(values)), values)


def test_a_log_parameter_has_its_geometric_mean_in_the_middle() -> None:
    assert LOG.to_value(0.5) == pytest.approx(np.sqrt(20 * 20_000))


def test_uniform_draws_follow_their_part_of_the_range() -> None:
    parameter = LINEAR.model_copy(update={"distribution": Uniform(low=0.2, high=0.6)})
    draws = parameter.quantile(np.random.default_rng(0).random(5000))
    assert scipy.stats.kstest(draws, scipy.stats.uniform(0.2, 0.4).cdf).pvalue > 0.01


def test_normal_draws_are_clipped_normals() -> None:
    parameter = LINEAR.model_copy(update={"distribution": Normal(mean=0.5, sd=0.03)})
    draws = parameter.quantile(np.random.default_rng(0).random(5000))
    assert scipy.stats.kstest(draws, scipy.stats.norm(0.5, 0.03).cdf).pvalue > 0.01
    wide = LINEAR.model_copy(update={"distribution": Normal(mean=0.0, sd=1.0)})
    assert wide.quantile(np.array([0.001, 0.5, 0.999])).tolist() == [0.0, 0.0, 1.0]


def test_log_uniform_draws_on_a_linear_parameter() -> None:
    parameter = Parameter(name="rate_hz", low=0.1, high=10, distribution=LogUniform())
    values = parameter.to_value(parameter.quantile(np.random.default_rng(0).random(5000)))
    assert scipy.stats.kstest(values, scipy.stats.loguniform(0.1, 10).cdf).pvalue > 0.01


def test_weights_decide_how_often_a_position_comes() -> None:
    parameter = CHOICE.model_copy(update={"distribution": Weighted(weights=(1, 0, 3))})
    counts = np.bincount(
        parameter.to_value(parameter.quantile(np.random.default_rng(0).random(8000))).astype(int), minlength=3
    )
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[[0, 2]], [2000, 6000]).pvalue > 0.01


def test_six_positions_come_equally_often_and_never_a_seventh() -> None:
    parameter = Parameter(name="range", kind="choice", positions=tuple("abcdef"))
    values = parameter.to_value(parameter.quantile(np.random.default_rng(1).random(12_000))).astype(int)
    assert scipy.stats.chisquare(np.bincount(values, minlength=6)).pvalue > 0.01
    assert set(values) == set(range(6))


def test_resolution_rounds_the_normalised_value() -> None:
    parameter = LINEAR.model_copy(update={"resolution": 0.01})
    draws = parameter.quantile(np.random.default_rng(0).random(1000))
    assert np.allclose(draws * 100, np.rint(draws * 100), atol=1e-9)
    assert len(np.unique(draws)) > 90


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"low": 1, "high": 0}, "must be below"),
        ({"kind": "log", "low": 0}, "above 0"),
        ({"kind": "choice"}, "at least two"),
        ({"kind": "integer", "low": 0.5, "high": 2}, "whole"),
        ({"distribution": Fixed(value=7)}, "outside 0 to 1"),
        ({"kind": "switch", "distribution": Weighted(weights=(1,))}, "needs 2 weights"),
    ],
)
def test_impossible_parameters_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Parameter.model_validate({"name": "p"} | fields)


def test_conditions_chain() -> None:
    space = ParameterSpace.of(
        SWITCH,
        Parameter(name="wave2", kind="switch", condition=Condition(parameter="on", values=(1,))),
        Parameter(name="width", condition=Condition(parameter="wave2", above=0.5)),
    )
    values = np.array([[1, 1, 0.3], [1, 0, 0.3], [0, 1, 0.3]])
    assert space.active(values).tolist() == [[True, True, True], [True, True, False], [True, False, False]]


def test_a_recipe_may_fix_narrow_or_redistribute() -> None:
    space = ParameterSpace.of(LINEAR, CHOICE, LOG).overridden(
        {"mix": [-1, 1], "wave": "saw", "cutoff_hz": {"distribution": "sobol", "resolution": 0.05}}, where="here"
    )
    values = space.to_values(space.quantile(np.random.default_rng(0).random((500, 3))))
    assert -1 <= values[:, 0].min() < -0.9
    assert 0.9 < values[:, 0].max() <= 1
    assert set(values[:, 1]) == {1.0}
    assert space["cutoff_hz"].resolution == 0.05
    assert space["mix"].bounds == (-3, 5)


@pytest.mark.parametrize("override", [[5, 9], "loud", {"distribution": {"type": "fixed", "value": 99}}, {"width": 3}])
def test_a_wrong_override_names_field_and_range(override: object) -> None:
    with pytest.raises(RecipeError, match=r"here\.mix") as caught:
        ParameterSpace.of(LINEAR).overridden({"mix": override}, where="here")
    assert "\n" not in str(caught.value)


def test_values_read_like_a_person_would_say_them() -> None:
    assert LOG.model_copy(update={"unit": "Hz"}).describe(0.0) == "20 Hz"
    assert CHOICE.describe(0.5) == "saw"
    assert SWITCH.describe(1.0) == "on"


@pytest.mark.parametrize(("parameter", "value"), [(SWITCH, 0.4), (CHOICE, 1.5), (INTEGER, 2.5)])
def test_a_fixed_value_between_two_positions_is_refused(parameter: Parameter, value: float) -> None:
    """It would be stored as a label, and another value heard."""
    with pytest.raises(ValidationError, match="between two positions"):
        Parameter.model_validate(parameter.model_dump() | {"distribution": {"type": "fixed", "value": value}})
    whole = Parameter.model_validate(parameter.model_dump() | {"distribution": {"type": "fixed", "value": 1}})
    assert whole.to_value(whole.quantile(np.zeros(1)))[0] == 1
