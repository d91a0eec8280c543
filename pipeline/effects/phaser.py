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
        Parameter(name="rate_hz", low=0.1, high=5, unit="Hz", kind="log"),
        Parameter(name="depth", low=0.2, high=1),
        Parameter(name="centre_frequency_hz", low=300, high=3000, unit="Hz", kind="log"),
        Parameter(name="feedback", low=0, high=0.8),
        Parameter(name="mix", low=0.3, high=0.7),
    ),
    render=_render,
)
