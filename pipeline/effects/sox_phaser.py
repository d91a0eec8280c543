"""SoX's phaser: a swept short delay with decay."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="SoX's phaser: a swept delay of 1-4 ms, fed back.",
    family="modulation",
    effect_class="phaser",
    parameters=(
        Parameter(name="delay_ms", low=1, high=4, unit="ms", description="delay"),
        Parameter(name="decay", low=0.2, high=0.6, unit="1", description="share that is fed back"),
        Parameter(
            name="rate_hz",
            low=0.2,
            high=2,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
    ),
    arguments=lambda v: ["phaser", 0.6, 0.8, v["delay_ms"], v["decay"], v["rate_hz"], "-s"],
)
