"""SoX's echo with repeats that die away."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="SoX's echo: six repeats after 90-400 ms, each softer.",
    family="delay",
    effect_class="feedback_delay",
    parameters=(
        Parameter(name="delay_ms", low=90, high=400, unit="ms", description="delay"),
        Parameter(
            name="decay", low=0.35, high=0.75, unit="1", description="level of a repeat relative to the one before"
        ),
    ),
    arguments=lambda v: [
        "echo",
        0.7,
        1.0,
        *(word for k in range(1, 7) for word in (k * v["delay_ms"], v["decay"] ** k)),
    ],
)
