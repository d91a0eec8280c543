"""Slapback delay: one quick echo."""

from __future__ import annotations

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects._delay_line import render, unidentifiable, with_pedalboard
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

EFFECT = Effect(
    summary="Slapback delay: a single echo after 50-200 ms.",
    family="delay",
    space=ParameterSpace.of(
        Parameter(name="delay_seconds", low=0.05, high=0.2, unit="s", kind="log", description="time to the echo"),
        Parameter(name="mix", low=0.25, high=0.6, unit="1", description="share of the wet sound: 0 dry, 1 wet"),
    ),
    render=render,
    pedalboard=with_pedalboard,
    unidentifiable=unidentifiable,
)
