"""Tremolo of the optical kind: a lamp and a photocell turn a triangle into a lopsided swell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import triangle
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    swell = 0.5 + 0.5 * triangle(values["rate_hz"], audio.shape[1], rate, values["phase"])
    return (audio * (1 - values["depth"] * swell ** values["shape"])).astype(np.float32)


EFFECT = Effect(
    summary="Optical tremolo: y = x (1 - depth s^shape) with a triangle s in [0, 1].",
    family="tremolo",
    effect_class="tremolo",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=1.5,
            high=10,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=0.3, high=0.95, unit="1", description="depth of the modulation: 0 none, 1 full"),
        Parameter(
            name="shape", low=0.5, high=3, kind="log", unit="1", description="exponent of the oscillator's curve"
        ),
        Parameter(name="phase", low=0, high=1, unit="cycles", description="where the oscillator starts"),
    ),
    render=_render,
)
