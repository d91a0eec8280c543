"""SoX's reverb: Freeverb in another hand."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="SoX's reverb: eight combs and four all-passes.",
    family="reverb",
    effect_class="reverb",
    parameters=(
        Parameter(name="reverberance", low=30, high=95, unit="%", description="length of the tail"),
        Parameter(name="damping", low=0, high=90, unit="%", description="high-frequency damping"),
        Parameter(name="room", low=30, high=100, unit="%", description="size of the room"),
        Parameter(name="wet_db", low=-6, high=6, unit="dB", description="gain of the reverberation"),
    ),
    arguments=lambda v: ["reverb", v["reverberance"], v["damping"], v["room"], 0, 0, v["wet_db"]],
)
