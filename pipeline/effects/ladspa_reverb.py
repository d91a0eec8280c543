"""LADSPA reverb of Tom's Audio Processing plug-ins."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="TAP reverb (LADSPA): one of several halls and rooms.",
    family="reverb",
    effect_class="reverb",
    parameters=(
        Parameter(name="decay_ms", low=600, high=6000, unit="ms", kind="log", description="time of the tail"),
        Parameter(name="wet_db", low=-10, high=2, unit="dB", description="level of the reverberation"),
        Parameter(name="kind", low=0, high=12, unit="1", kind="integer", description="which room"),
    ),
    arguments=lambda v: ["ladspa", "tap_reverb", "tap_reverb", v["decay_ms"], -2, v["wet_db"], 1, 1, 1, 0, v["kind"]],
    ports=2,
    package="tap-plugins",
)
