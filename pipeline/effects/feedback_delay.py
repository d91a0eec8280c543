"""Feedback delay: several echoes that fade."""

from __future__ import annotations

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects._delay_line import render, unidentifiable, with_pedalboard
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

EFFECT = Effect(
    summary="Feedback delay: repeated echoes, 0.1-0.6 s apart.",
    family="delay",
    space=ParameterSpace.of(
        Parameter(name="delay_seconds", low=0.1, high=0.6, unit="s", kind="log", description="time between repeats"),
        Parameter(
            name="feedback", low=0.3, high=0.8, unit="1", description="share of the output fed back to the input"
        ),
        Parameter(name="mix", low=0.25, high=0.6, unit="1", description="share of the wet sound: 0 dry, 1 wet"),
    ),
    render=render,
    pedalboard=with_pedalboard,
    unidentifiable=unidentifiable,
)
