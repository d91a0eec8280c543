"""LADSPA distortion: the sigmoid booster of Tom's Audio Processing plug-ins."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="TAP sigmoid booster (LADSPA) with 8-20 dB of gain.",
    family="distortion",
    effect_class="distortion",
    parameters=(
        Parameter(name="gain_db", low=8, high=20, unit="dB", description="gain before the curve"),
        Parameter(name="boost_db", low=14, high=30, unit="dB", description="gain before the booster, which clips"),
    ),
    arguments=lambda v: ["vol", f"{v['boost_db']:.6g}dB", "ladspa", "tap_sigmoid", "tap_sigmoid", v["gain_db"], -6],
    linear=False,
    package="tap-plugins",
)
