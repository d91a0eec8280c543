"""Overdrive of the valve kind: a biased soft clipper, so even harmonics too, then a tone control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import low_pass
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _clip(x: Any) -> Any:
    return x / (1 + np.abs(x))


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    driven = audio.astype(np.float64) * 10 ** (values["drive_db"] / 20)
    shaped = _clip(driven + values["bias"]) - _clip(values["bias"])
    return low_pass(shaped, values["tone_hz"], rate).astype(np.float32)


EFFECT = Effect(
    summary="Valve overdrive: y = f(drive x + bias) - f(bias) with f(x) = x / (1 + |x|), then a one-pole low-pass.",
    family="distortion",
    effect_class="overdrive",
    space=ParameterSpace.of(
        Parameter(name="drive_db", low=6, high=22, unit="dB", kind="db", description="gain into the waveshaper"),
        Parameter(
            name="bias",
            low=0.1,
            high=0.8,
            unit="1",
            description="offset before the waveshaper, which makes it asymmetric",
        ),
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
