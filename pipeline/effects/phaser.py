"""Phaser: six first-order all-pass filters swept around a centre frequency, with feedback."""

from __future__ import annotations

from collections.abc import Mapping

import pedalboard

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    plugin = pedalboard.Phaser(
        rate_hz=values["rate_hz"],
        depth=values["depth"],
        centre_frequency_hz=values["centre_frequency_hz"],
        feedback=values["feedback"],
        mix=values["mix"],
    )
    return plugin(audio, rate)


EFFECT = Effect(
    summary="Phaser: six all-pass stages swept by an LFO, with feedback.",
    family="modulation",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=0.1,
            high=5,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=0.2, high=1, unit="1", description="depth of the modulation: 0 none, 1 full"),
        Parameter(
            name="centre_frequency_hz",
            low=300,
            high=3000,
            unit="Hz",
            kind="log",
            description="centre frequency of the sweep",
        ),
        Parameter(name="feedback", low=0, high=0.8, unit="1", description="share of the output fed back to the input"),
        Parameter(name="mix", low=0.3, high=0.7, unit="1", description="share of the wet sound: 0 dry, 1 wet"),
    ),
    render=_render,
)
