"""Chorus: copies a few hundredths of a second late, slowly drifting, mixed with the dry sound."""

from __future__ import annotations

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects._modulated_delay import render
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

EFFECT = Effect(
    summary="Chorus: slow, shallow modulation of a 10-30 ms delay, no feedback.",
    family="modulation",
    space=ParameterSpace.of(
        Parameter(name="rate_hz", low=0.2, high=3, unit="Hz", kind="log"),
        Parameter(name="depth", low=0.05, high=0.5),
        Parameter(name="centre_delay_ms", low=10, high=30, unit="ms"),
        Parameter(name="mix", low=0.25, high=0.75),
    ),
    render=render,
)
