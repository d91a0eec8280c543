"""Distortion of the AutoFX paper: tanh waveshaper, low shelf, high shelf (D'Hooghe 2022)."""

from __future__ import annotations

from collections.abc import Mapping

import pedalboard
from pedalboard._pedalboard import Pedalboard  # the package does not export it to type checkers

from timbre_data.pipeline.kinds import Audio, Effect
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    board = Pedalboard(
        [
            pedalboard.Distortion(drive_db=values["drive_db"]),
            pedalboard.LowShelfFilter(
                values["low_shelf_cutoff_hz"], values["low_shelf_gain_db"], values["low_shelf_q"]
            ),
            pedalboard.HighShelfFilter(
                values["high_shelf_cutoff_hz"], values["high_shelf_gain_db"], values["high_shelf_q"]
            ),
        ]
    )
    return board(audio, rate)


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    unheard: set[str] = set()
    for shelf in ("low_shelf", "high_shelf"):
        if abs(values[f"{shelf}_gain_db"]) < 1e-6:
            unheard |= {f"{shelf}_cutoff_hz", f"{shelf}_q"}
    return unheard


EFFECT = Effect(
    summary="Waveshaper y = tanh(drive x), then a low and a high shelf: the distortion effect of the AutoFX paper.",
    family="distortion",
    space=ParameterSpace.of(
        Parameter(name="drive_db", low=0, high=60, unit="dB", kind="db", description="gain into the waveshaper"),
        Parameter(name="low_shelf_cutoff_hz", low=50, high=500, unit="Hz"),
        Parameter(name="low_shelf_gain_db", low=-10, high=10, unit="dB", kind="db"),
        Parameter(name="low_shelf_q", low=0.5, high=2),
        Parameter(name="high_shelf_cutoff_hz", low=500, high=2000, unit="Hz"),
        Parameter(name="high_shelf_gain_db", low=-10, high=10, unit="dB", kind="db"),
        Parameter(name="high_shelf_q", low=0.5, high=2),
    ),
    render=_render,
    unidentifiable=_unidentifiable,
)
