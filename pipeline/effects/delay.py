"""Delay of the AutoFX paper: one feedback delay line (D'Hooghe 2022)."""

from __future__ import annotations

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects._delay_line import render, unidentifiable, with_pedalboard
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

EFFECT = Effect(
    summary="Feedback delay over its whole range: the delay effect of the AutoFX paper.",
    family="delay",
    space=ParameterSpace.of(
        Parameter(name="delay_seconds", low=0, high=1, unit="s", description="time to the first echo"),
        Parameter(name="feedback", description="level of each echo relative to the one before", unit="1"),
        Parameter(name="mix", description="0 dry, 1 wet", unit="1"),
    ),
    render=render,
    pedalboard=with_pedalboard,
    unidentifiable=unidentifiable,
)
