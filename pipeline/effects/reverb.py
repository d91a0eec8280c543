"""Reverb: Schroeder-Moorer room (the public-domain Freeverb design), as JUCE does it."""

from __future__ import annotations

from collections.abc import Mapping

import pedalboard

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    plugin = pedalboard.Reverb(
        room_size=values["room_size"],
        damping=values["damping"],
        wet_level=values["wet_level"],
        dry_level=values["dry_level"],
        width=1.0,
    )
    return plugin(audio, rate)


EFFECT = Effect(
    summary="Reverb: eight comb and four all-pass filters per channel (Freeverb).",
    family="reverb",
    space=ParameterSpace.of(
        Parameter(name="room_size", low=0.1, high=1, unit="1", description="size of the room, Freeverb's own scale"),
        Parameter(name="damping", unit="1", description="high-frequency damping, Freeverb's own scale"),
        Parameter(name="wet_level", low=0.1, high=0.7, unit="1", description="level of the reverberation"),
        Parameter(name="dry_level", low=0.2, high=0.7, unit="1", description="level of the dry sound"),
    ),
    render=_render,
)
