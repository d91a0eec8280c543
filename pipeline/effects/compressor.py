"""Compressor: what is above the threshold is turned down."""

from __future__ import annotations

from collections.abc import Mapping

import pedalboard

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    plugin = pedalboard.Compressor(
        threshold_db=values["threshold_db"],
        ratio=values["ratio"],
        attack_ms=values["attack_ms"],
        release_ms=values["release_ms"],
    )
    return plugin(audio, rate)


EFFECT = Effect(
    summary="Compressor: feed-forward, with threshold, ratio, attack and release.",
    family="other",
    space=ParameterSpace.of(
        Parameter(
            name="threshold_db",
            low=-48,
            high=-6,
            unit="dB",
            kind="db",
            description="level above which the gain is reduced",
        ),
        Parameter(
            name="ratio",
            low=1.5,
            high=20,
            kind="log",
            unit="dB/dB",
            description="input change in dB per dB of output change, above the threshold",
        ),
        Parameter(
            name="attack_ms", low=0.5, high=50, unit="ms", kind="log", description="time constant of gain reduction"
        ),
        Parameter(name="release_ms", low=20, high=500, unit="ms", kind="log", description="time constant of recovery"),
    ),
    render=_render,
)
