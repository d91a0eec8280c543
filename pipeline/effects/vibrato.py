"""Vibrato: the pitch moves up and down; a modulated delay heard alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.effect import ByRows, Effect
from timbre_data.pipeline.effects._modulated_delay import render_rows, with_pedalboard
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

CENTRE_DELAY_MS = 12.0
"""Delay around which the LFO moves: wide enough that the deepest setting never reaches the plug-in's 1 ms floor."""
FIXED = {"centre_delay_ms": CENTRE_DELAY_MS, "mix": 1.0}


def _render_rows(sounds: Audio, rate: int, values: Mapping[str, NDArray[np.float64]], out: Audio) -> None:
    fixed = {name: np.full(len(sounds), value) for name, value in FIXED.items()}
    render_rows(sounds, rate, {**values, **fixed}, out)


def _with_pedalboard(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    return with_pedalboard(audio, rate, {**values, **FIXED})


EFFECT = Effect(
    summary="Vibrato: a sinusoidally modulated delay, wet only.",
    family="modulation",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=2,
            high=9,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth", low=0.02, high=0.3, unit="1", description="depth of the modulation: 0 none, 1 full"),
    ),
    render=ByRows(_render_rows),
    pedalboard=_with_pedalboard,
)
