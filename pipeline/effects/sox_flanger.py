"""SoX's flanger: a short swept delay with regeneration."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="SoX's flanger: a delay of 0-5 ms, swept, with regeneration.",
    family="modulation",
    effect_class="flanger",
    parameters=(
        Parameter(name="delay_ms", low=0.5, high=5, unit="ms", description="delay"),
        Parameter(name="depth_ms", low=0.5, high=6, unit="ms", description="sweep of the delay"),
        Parameter(name="regeneration", low=-60, high=80, unit="%", description="share that is fed back"),
        Parameter(
            name="rate_hz",
            low=0.1,
            high=3,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
    ),
    arguments=lambda v: [
        "flanger",
        v["delay_ms"],
        v["depth_ms"],
        v["regeneration"],
        90,
        v["rate_hz"],
        "sine",
        25,
        "linear",
    ],
)
