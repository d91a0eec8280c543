"""Flanger: a moving comb filter from a delay of a few milliseconds with feedback."""

from __future__ import annotations

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects._modulated_delay import render, with_pedalboard
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

EFFECT = Effect(
    summary="Flanger: slow modulation of a 2-6 ms delay with feedback.",
    family="modulation",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=0.1,
            high=3,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=0.05, high=0.2, description="0.1 moves the delay by about 1 ms", unit="1"),
        Parameter(
            name="centre_delay_ms", low=2, high=6, unit="ms", description="delay around which the oscillator moves"
        ),
        Parameter(
            name="feedback", low=0.2, high=0.85, unit="1", description="share of the output fed back to the input"
        ),
        Parameter(name="mix", low=0.3, high=0.7, unit="1", description="share of the wet sound: 0 dry, 1 wet"),
    ),
    render=render,
    pedalboard=with_pedalboard,
)
