"""LADSPA tape delay with one tap, of Steve Harris' collection."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="Tape delay (LADSPA 1211): one tap after 40-150 ms.",
    family="delay",
    effect_class="slapback_delay",
    parameters=(
        Parameter(name="delay_ms", low=40, high=150, unit="ms", description="delay"),
        Parameter(name="level_db", low=-10, high=-1, unit="dB", kind="db", description="level of the repeat"),
    ),
    arguments=lambda v: [
        "ladspa",
        "tape_delay_1211",
        "tapeDelay",
        1,
        0,
        v["delay_ms"] / 1000,
        v["level_db"],
        0,
        -90,
        0,
        -90,
        0,
        -90,
    ],
    package="swh-plugins",
)
