"""Equaliser: low shelf, one peaking band, high shelf."""

from __future__ import annotations

from collections.abc import Mapping

import pedalboard
from pedalboard._pedalboard import Pedalboard  # the package does not export it to type checkers

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    board = Pedalboard(
        [
            pedalboard.LowShelfFilter(values["low_cutoff_hz"], values["low_gain_db"], 0.707),
            pedalboard.PeakFilter(values["peak_hz"], values["peak_gain_db"], values["peak_q"]),
            pedalboard.HighShelfFilter(values["high_cutoff_hz"], values["high_gain_db"], 0.707),
        ]
    )
    return board(audio, rate)


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    unheard: set[str] = set()
    for gain, others in (
        ("low_gain_db", {"low_cutoff_hz"}),
        ("peak_gain_db", {"peak_hz", "peak_q"}),
        ("high_gain_db", {"high_cutoff_hz"}),
    ):
        if abs(values[gain]) < 1e-6:
            unheard |= others
    return unheard


EFFECT = Effect(
    summary="Three-band equaliser: low shelf, peak, high shelf (second order).",
    family="other",
    space=ParameterSpace.of(
        Parameter(
            name="low_cutoff_hz",
            low=60,
            high=400,
            unit="Hz",
            kind="log",
            description="corner frequency of the low shelf",
        ),
        Parameter(name="low_gain_db", low=-12, high=12, unit="dB", kind="db", description="gain of the low shelf"),
        Parameter(
            name="peak_hz", low=300, high=4000, unit="Hz", kind="log", description="centre frequency of the peak"
        ),
        Parameter(name="peak_gain_db", low=-12, high=12, unit="dB", kind="db", description="gain of the peak"),
        Parameter(name="peak_q", low=0.5, high=4, kind="log", unit="1", description="quality factor of the peak"),
        Parameter(
            name="high_cutoff_hz",
            low=2000,
            high=8000,
            unit="Hz",
            kind="log",
            description="corner frequency of the high shelf",
        ),
        Parameter(name="high_gain_db", low=-12, high=12, unit="dB", kind="db", description="gain of the high shelf"),
    ),
    render=_render,
    unidentifiable=_unidentifiable,
)
