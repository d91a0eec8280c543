"""LADSPA echo with feedback, of Tom's Audio Processing plug-ins."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="TAP echo (LADSPA): repeats after 90-400 ms.",
    family="delay",
    effect_class="feedback_delay",
    parameters=(
        Parameter(name="delay_ms", low=90, high=400, unit="ms", description="delay"),
        Parameter(name="feedback", low=30, high=75, unit="%", description="share that is fed back"),
        Parameter(name="level_db", low=-8, high=0, unit="dB", kind="db", description="level of the repeats"),
    ),
    arguments=lambda v: [
        "ladspa",
        "tap_echo",
        "tap_stereo_echo",
        v["delay_ms"],
        v["feedback"],
        v["delay_ms"],
        v["feedback"],
        v["level_db"],
        v["level_db"],
        0,
        0,
        0,
        0,
    ],
    ports=2,
    package="tap-plugins",
)
