"""LADSPA chorus: multivoiceChorus of Steve Harris' collection."""

from __future__ import annotations

from timbre_data.pipeline.effects._sox import sox_effect
from timbre_data.schemas.parameter import Parameter

EFFECT = sox_effect(
    summary="Multivoice chorus (LADSPA 1201).",
    family="modulation",
    effect_class="chorus",
    parameters=(
        Parameter(name="voices", low=2, high=6, unit="1", kind="integer", description="number of voices"),
        Parameter(name="delay_ms", low=12, high=35, unit="ms", description="delay"),
        Parameter(name="detune", low=0.5, high=3, unit="%", description="detuning of the voices"),
        Parameter(
            name="rate_hz",
            low=2,
            high=9,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
    ),
    arguments=lambda v: [
        "ladspa",
        "multivoice_chorus_1201",
        "multivoiceChorus",
        v["voices"],
        v["delay_ms"],
        1,
        v["detune"],
        v["rate_hz"],
        -3,
    ],
    package="swh-plugins",
)
