"""Vibrato of the bucket-brigade kind: a triangle-swept delay heard alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import delay_line, one_pole, triangle
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    depth = values["depth_ms"] * rate / 1000
    sweep = triangle(values["rate_hz"], audio.shape[1], rate)
    return delay_line(audio, depth * (1 + sweep) + 2, tone=one_pole(8000, rate)).astype(np.float32)


EFFECT = Effect(
    summary="Analogue vibrato: a triangle-swept delay, wet only.",
    family="modulation",
    effect_class="vibrato",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=2,
            high=9,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth_ms", low=0.3, high=2.5, unit="ms", kind="log", description="peak deviation of the delay"),
    ),
    render=_render,
)
