"""Slapback from tape: one quick, darkened echo."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import delay_line, one_pole
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    delays = np.full(audio.shape[1], values["delay_seconds"] * rate)
    wet = delay_line(audio, delays, tone=one_pole(values["tone_hz"], rate), saturate=True)
    return (audio + values["level"] * wet).astype(np.float32)


EFFECT = Effect(
    summary="Tape slapback: a single echo after 50-200 ms through a low-pass and a saturating tape.",
    family="delay",
    effect_class="slapback_delay",
    space=ParameterSpace.of(
        Parameter(name="delay_seconds", low=0.05, high=0.2, unit="s", kind="log", description="time to the echo"),
        Parameter(
            name="tone_hz",
            low=1500,
            high=6000,
            unit="Hz",
            kind="log",
            description="corner frequency of the low-pass that the echo passes",
        ),
        Parameter(name="level", low=0.3, high=0.9, unit="1", description="level of the echo"),
    ),
    render=_render,
)
