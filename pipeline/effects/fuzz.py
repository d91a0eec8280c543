"""Fuzz: hard, lopsided clipping of a very loud sound, then a tone control."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import low_pass
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    driven = audio.astype(np.float64) * 10 ** (values["drive_db"] / 20)
    clipped = np.clip(driven, values["asymmetry"] - 1, 1.0)
    return low_pass(clipped, values["tone_hz"], rate).astype(np.float32)


EFFECT = Effect(
    summary="Fuzz: y = clip(drive x, asymmetry - 1, 1), then a one-pole low-pass.",
    family="distortion",
    effect_class="distortion",
    space=ParameterSpace.of(
        Parameter(name="drive_db", low=24, high=54, unit="dB", kind="db", description="gain into the waveshaper"),
        Parameter(name="asymmetry", low=0, high=0.5, unit="1", description="how much earlier negative half-waves clip"),
        Parameter(
            name="tone_hz",
            low=1500,
            high=8000,
            unit="Hz",
            kind="log",
            description="corner frequency of the low-pass after the waveshaper",
        ),
    ),
    render=_render,
)
