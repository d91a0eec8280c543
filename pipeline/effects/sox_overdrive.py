"""SoX's overdrive at moderate gain."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="SoX's overdrive: a cubic curve with 8-22 dB of gain.",
    family="distortion",
    effect_class="overdrive",
    parameters=(
        Parameter(name="gain_db", low=8, high=22, unit="dB", description="gain before the curve"),
        Parameter(name="colour", low=0, high=60, unit="1", description="even harmonics"),
    ),
    arguments=lambda v: ["overdrive", v["gain_db"], v["colour"]],
    linear=False,
)
