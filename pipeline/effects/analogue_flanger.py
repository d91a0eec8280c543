"""Flanger of the bucket-brigade kind: a triangle sweeps a very short delay through zero's neighbourhood, fed back."""

from __future__ import annotations

from collections.abc import Mapping

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import blend, delay_line, one_pole, triangle
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    sweep = 0.5 + 0.5 * triangle(values["rate_hz"], audio.shape[1], rate)
    delays = (values["shortest_ms"] + values["depth_ms"] * sweep) * rate / 1000
    wet = delay_line(audio, delays, feedback=values["feedback"], tone=one_pole(9000, rate))
    return blend(audio, wet, values["mix"])


EFFECT = Effect(
    summary="Analogue flanger: a triangle-swept delay of 0.5-7 ms with feedback.",
    family="modulation",
    effect_class="flanger",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=0.1,
            high=3,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(
            name="shortest_ms", low=0.5, high=2, unit="ms", kind="log", description="shortest delay of the sweep"
        ),
        Parameter(name="depth_ms", low=1, high=5, unit="ms", kind="log", description="peak deviation of the delay"),
        Parameter(
            name="feedback", low=0.3, high=0.85, unit="1", description="share of the output fed back to the input"
        ),
        Parameter(name="mix", low=0.35, high=0.65, unit="1", description="share of the wet sound: 0 dry, 1 wet"),
    ),
    render=_render,
)
