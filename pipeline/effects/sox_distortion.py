"""SoX's overdrive at high gain, which clips hard."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="SoX's overdrive with 32-50 dB of gain: clipped.",
    family="distortion",
    effect_class="distortion",
    parameters=(
        Parameter(name="gain_db", low=32, high=50, unit="dB", description="gain before the curve"),
        Parameter(name="colour", low=0, high=60, unit="1", description="even harmonics"),
    ),
    arguments=lambda v: ["overdrive", v["gain_db"], v["colour"]],
    linear=False,
)
