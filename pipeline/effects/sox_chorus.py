"""SoX's chorus: one voice after a swept delay. Its delay is no parameter: from 24 to 56 ms the output is the same."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="SoX's chorus: a voice swept by a sine.",
    family="modulation",
    effect_class="chorus",
    parameters=(
        Parameter(
            name="rate_hz",
            low=0.2,
            high=3,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth_ms", low=1, high=5, unit="ms", description="sweep of the delay"),
        Parameter(name="level", low=0.3, high=0.9, unit="1", description="level of the voice"),
    ),
    arguments=lambda v: ["chorus", 0.6, 0.9, 40, v["level"], v["rate_hz"], v["depth_ms"], "-s"],
)
