"""Tremolo: the loudness moves up and down. pedalboard has none, so this is the formula itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    phase = 2 * np.pi * (values["rate_hz"] * np.arange(audio.shape[-1]) / rate + values["phase"])
    sine = np.sin(phase)
    lfo = np.sign(sine) if values["square"] else sine
    return (audio * (1 - values["depth"] * 0.5 * (1 - lfo))).astype(np.float32)


EFFECT = Effect(
    summary="Tremolo: y(t) = x(t) (1 - depth (1 - lfo(t)) / 2), with a sine or square LFO.",
    family="tremolo",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=1,
            high=12,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=0.2, high=1, unit="1", description="depth of the modulation: 0 none, 1 full"),
        Parameter(name="phase", low=0, high=1, unit="cycles", description="where the LFO starts"),
        Parameter(name="square", kind="switch", description="square instead of sine"),
    ),
    render=_render,
)
