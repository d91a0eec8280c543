"""LADSPA tremolo of Tom's Audio Processing plug-ins."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="TAP tremolo (LADSPA): loudness swept by a cosine.",
    family="tremolo",
    effect_class="tremolo",
    parameters=(
        Parameter(
            name="rate_hz",
            low=1,
            high=12,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=30, high=100, unit="%", description="depth of the modulation"),
    ),
    arguments=lambda v: ["ladspa", "tap_tremolo", "tap_tremolo", v["rate_hz"], v["depth"], 0],
    package="tap-plugins",
)
