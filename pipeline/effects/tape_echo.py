"""Tape echo: repeats that darken and saturate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.analogue import delay_line, one_pole, triangle
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

WOW_HZ, WOW_SECONDS = 0.9, 0.0006
"""Speed and size of the tape's unsteadiness."""


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    wow = WOW_SECONDS * triangle(WOW_HZ, audio.shape[1], rate)
    wet = delay_line(
        audio,
        (values["delay_seconds"] + wow) * rate,
        feedback=values["feedback"],
        tone=one_pole(values["tone_hz"], rate),
        saturate=True,
    )
    return (audio + values["level"] * wet).astype(np.float32)


def _unidentifiable(values: Mapping[str, float], seconds: float) -> set[str]:
    if values["delay_seconds"] + WOW_SECONDS >= seconds:
        return {"feedback", "tone_hz", "level"}
    return {"feedback"} if 2 * (values["delay_seconds"] - WOW_SECONDS) >= seconds else set()


EFFECT = Effect(
    summary="Tape echo: repeats through a low-pass and a saturating tape, beside the dry sound.",
    family="delay",
    effect_class="feedback_delay",
    space=ParameterSpace.of(
        Parameter(name="delay_seconds", low=0.15, high=0.5, unit="s", kind="log", description="time between repeats"),
        Parameter(
            name="feedback", low=0.3, high=0.8, unit="1", description="share of the output fed back to the input"
        ),
        Parameter(
            name="tone_hz",
            low=1500,
            high=6000,
            unit="Hz",
            kind="log",
            description="corner frequency of the low-pass that each repeat passes",
        ),
        Parameter(name="level", low=0.3, high=0.9, unit="1", description="level of the repeats"),
    ),
    render=_render,
    unidentifiable=_unidentifiable,
)
