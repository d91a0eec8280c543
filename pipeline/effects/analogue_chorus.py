"""Chorus of the bucket-brigade kind: two voices swept in opposite directions by a triangle, a little dark."""

from __future__ import annotations

from collections.abc import Mapping

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import blend, delay_line, one_pole, triangle
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    sweep = triangle(values["rate_hz"], audio.shape[1], rate)
    centre, depth = values["centre_delay_ms"] * rate / 1000, values["depth_ms"] * rate / 1000
    tone = one_pole(6000, rate)
    voices = [delay_line(audio, centre + sign * depth * sweep, tone=tone) for sign in (1, -1)]
    return blend(audio, 0.5 * (voices[0] + voices[1]), values["mix"])


EFFECT = Effect(
    summary="Analogue chorus: two darkened voices around 8-25 ms, swept by a triangle.",
    family="modulation",
    effect_class="chorus",
    space=ParameterSpace.of(
        Parameter(
            name="rate_hz",
            low=0.2,
            high=3,
            unit="Hz",
            kind="log",
            description="frequency of the low-frequency oscillator",
        ),
        Parameter(name="depth_ms", low=1, high=5, unit="ms", kind="log", description="peak deviation of the delay"),
        Parameter(
            name="centre_delay_ms", low=8, high=25, unit="ms", description="delay around which the oscillator moves"
        ),
        Parameter(name="mix", low=0.3, high=0.7, unit="1", description="share of the wet sound: 0 dry, 1 wet"),
    ),
    render=_render,
)
