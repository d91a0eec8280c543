"""Chorus: copies a few hundredths of a second late, slowly drifting, mixed with the dry sound."""

from __future__ import annotations

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects._modulated_delay import render, with_pedalboard
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

EFFECT = Effect(
    summary="Chorus: slow, shallow modulation of a 10-30 ms delay, no feedback.",
    family="modulation",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=0.2,
            high=3,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=0.05, high=0.5, unit="1", description="depth of the modulation: 0 none, 1 full"),
        Parameter(
            name="centre_delay_ms", low=10, high=30, unit="ms", description="delay around which the oscillator moves"
        ),
        Parameter(name="mix", low=0.25, high=0.75, unit="1", description="share of the wet sound: 0 dry, 1 wet"),
    ),
    render=render,
    pedalboard=with_pedalboard,
)
