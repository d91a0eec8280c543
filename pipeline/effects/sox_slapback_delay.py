"""SoX's echo with one repeat."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="SoX's echo: one repeat after 40-150 ms.",
    family="delay",
    effect_class="slapback_delay",
    parameters=(
        Parameter(name="delay_ms", low=40, high=150, unit="ms", description="delay"),
        Parameter(name="decay", low=0.3, high=0.8, unit="1", description="level of the repeat"),
    ),
    arguments=lambda v: ["echo", 0.7, 1.0, v["delay_ms"], v["decay"]],
)
