"""Modulation of the AutoFX paper: a chorus over its whole range (D'Hooghe 2022)."""

from __future__ import annotations

from collections.abc import Mapping

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.effects._modulated_delay import render, with_pedalboard
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    if values["mix"] == 0:
        return {"rate_hz", "depth", "centre_delay_ms", "feedback"}
    unheard = {"rate_hz"} if values["depth"] == 0 else set()
    if values["centre_delay_ms"] <= 1:  # the plug-in clamps the delay at 1 ms
        unheard |= {"centre_delay_ms"}
    return unheard


EFFECT = Effect(
    summary="Chorus over its whole range: the modulation effect of the AutoFX paper.",
    family="modulation",
    space=ParameterSpace.of(
        Parameter(name="rate_hz", low=0.1, high=10, unit="Hz", description="frequency of the delay's LFO"),
        Parameter(name="depth", description="amount of delay modulation", unit="1"),
        Parameter(
            name="centre_delay_ms",
            low=0,
            high=20,
            unit="ms",
            description="delay around which the LFO moves; below 1 ms acts as 1 ms",
        ),
        Parameter(name="feedback", description="share of the delayed sound fed back", unit="1"),
        Parameter(name="mix", description="0 dry, 1 wet", unit="1"),
    ),
    render=render,
    pedalboard=with_pedalboard,
    unidentifiable=_unidentifiable,
)
