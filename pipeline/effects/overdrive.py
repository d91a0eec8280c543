"""Overdrive: the mid-range pushed into soft clipping and darkened, as a stomp box does."""

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
            pedalboard.HighpassFilter(cutoff_frequency_hz=values["bass_cut_hz"]),
            pedalboard.Distortion(drive_db=values["drive_db"]),
            pedalboard.LowpassFilter(cutoff_frequency_hz=values["tone_hz"]),
            pedalboard.Gain(gain_db=values["level_db"]),
        ]
    )
    return board(audio, rate)


EFFECT = Effect(
    summary="Overdrive: bass cut, gentle tanh clipping, tone low-pass, level.",
    family="distortion",
    space=ParameterSpace.of(
        Parameter(name="drive_db", low=6, high=24, unit="dB", kind="db", description="gain into the waveshaper"),
        Parameter(
            name="bass_cut_hz",
            low=100,
            high=720,
            unit="Hz",
            kind="log",
            description="corner frequency of the high-pass before the waveshaper",
        ),
        Parameter(
            name="tone_hz",
            low=800,
            high=6000,
            unit="Hz",
            kind="log",
            description="corner frequency of the low-pass after the waveshaper",
        ),
        Parameter(name="level_db", low=-12, high=0, unit="dB", kind="db", description="gain after the waveshaper"),
    ),
    render=_render,
)
