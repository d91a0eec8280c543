"""Phaser of the four-stage kind: all-passes swept in octaves by a triangle, with feedback."""

from __future__ import annotations

from collections.abc import Mapping

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import blend, phase_shift, triangle
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    sweep = triangle(values["rate_hz"], audio.shape[1], rate)
    corners = values["centre_hz"] * 2 ** (0.5 * values["octaves"] * sweep)
    wet = phase_shift(audio, corners, rate, stages=4, feedback=values["feedback"])
    return blend(audio, wet, 0.5)


EFFECT = Effect(
    summary="Analogue phaser: four all-pass stages swept over octaves, half dry and half wet.",
    family="modulation",
    effect_class="phaser",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=0.1,
            high=5,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="octaves", low=1, high=4, unit="octaves", description="width of the sweep"),
        Parameter(
            name="centre_hz", low=300, high=2000, unit="Hz", kind="log", description="geometric centre of the sweep"
        ),
        Parameter(name="feedback", low=0, high=0.8, unit="1", description="share of the output fed back to the input"),
    ),
    render=_render,
)
