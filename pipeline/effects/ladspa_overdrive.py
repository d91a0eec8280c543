"""LADSPA overdrive: the valve of Steve Harris' collection."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="Valve saturation (LADSPA 1209).",
    family="distortion",
    effect_class="overdrive",
    parameters=(
        Parameter(name="level", low=0.3, high=0.95, unit="1", description="amount of saturation"),
        Parameter(name="character", low=0, high=1, unit="1", description="hardness of the curve"),
    ),
    arguments=lambda v: ["ladspa", "valve_1209", "valve", v["level"], v["character"]],
    linear=False,
    package="swh-plugins",
)
