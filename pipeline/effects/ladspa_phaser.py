"""LADSPA phaser: lfoPhaser of Steve Harris' collection."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="LFO phaser (LADSPA 1217): four swept all-passes.",
    family="modulation",
    effect_class="phaser",
    parameters=(
        Parameter(
            name="rate_hz",
            low=0.3,
            high=3,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=0.3, high=1, unit="1", description="depth of the sweep"),
        Parameter(name="feedback", low=-0.8, high=0.8, unit="1", description="share that is fed back"),
        Parameter(name="spread", low=0.5, high=1.8, unit="octaves", description="distance of the poles"),
    ),
    arguments=lambda v: ["ladspa", "phasers_1217", "lfoPhaser", v["rate_hz"], v["depth"], v["feedback"], v["spread"]],
    package="swh-plugins",
)
