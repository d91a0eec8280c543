"""Noise added to a sound: the floor of a recording, from white to dark."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.colouring import noise_of
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    peak = float(np.abs(audio).max(initial=0.0))
    noise = noise_of(values["seed"], audio.shape[0], audio.shape[1], rate, values["slope_db"])
    return (audio + 10 ** (values["level_db"] / 20) * peak * noise).astype(np.float32)


EFFECT = Effect(
    summary="Noise floor: noise of a drawn level and colour, added to the sound.",
    family="other",
    space=ParameterSpace.of(
        Parameter(
            name="level_db", low=-75, high=-25, unit="dB", kind="db", description="RMS level below the sound's peak"
        ),
        Parameter(
            name="slope_db", low=-9, high=0, unit="dB/octave", description="fall of the noise's spectrum above 50 Hz"
        ),
        Parameter(name="seed", low=0, high=1, unit="1", description="which noise: another one for each number"),
    ),
    render=_render,
)
