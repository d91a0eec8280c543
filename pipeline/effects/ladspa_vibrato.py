"""LADSPA vibrato of Tom's Audio Processing plug-ins."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="TAP vibrato (LADSPA): pitch swept by a sine.",
    family="modulation",
    effect_class="vibrato",
    parameters=(
        Parameter(
            name="rate_hz",
            low=2,
            high=9,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=2, high=14, unit="%", description="depth of the modulation"),
    ),
    arguments=lambda v: ["ladspa", "tap_vibrato", "tap_vibrato", v["rate_hz"], v["depth"], -90, 0],
    package="tap-plugins",
)
