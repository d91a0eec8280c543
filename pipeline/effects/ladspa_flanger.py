"""LADSPA flanger: retroFlange of Steve Harris' collection, two tape machines of which one is stalled."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="Retro flanger (LADSPA 1208): two tape machines, one stalled by 1-8 ms on average.",
    family="modulation",
    effect_class="flanger",
    parameters=(
        Parameter(name="stall_ms", low=1, high=8, unit="ms", description="average stall"),
        Parameter(
            name="rate_hz",
            low=0.5,
            high=3,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
    ),
    arguments=lambda v: ["ladspa", "retro_flange_1208", "retroFlange", v["stall_ms"], v["rate_hz"]],
    package="swh-plugins",
)
