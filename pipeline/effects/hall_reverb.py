"""Reverb by convolution with a statistical hall: noise that decays exponentially (Moorer 1979)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.signal import fftconvolve

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.catalogue.seeding import generator
from timbre_data.pipeline.sound.analogue import blend, low_pass
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

HALL = 20_790
"""Seed of the noise: there is one hall, whatever the settings."""


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    samples = audio.shape[1]
    seconds = np.arange(samples) / rate
    noise = generator(HALL).standard_normal((1, samples))
    decay = np.power(10.0, -3 * seconds / values["decay_seconds"])
    hall = low_pass(noise, values["tone_hz"], rate)[0] * decay
    hall /= np.sqrt((hall**2).sum())
    late = round(values["predelay_ms"] * rate / 1000)
    wet = np.zeros(audio.shape)
    wet[:, late:] = fftconvolve(audio, hall[None], axes=1)[:, : samples - late]
    return blend(audio, wet, values["mix"])


EFFECT = Effect(
    summary="Hall reverb: convolution with exponentially decaying, darkened noise of unit energy.",
    family="reverb",
    effect_class="reverb",
    space=ParameterSpace.of(
        Parameter(name="decay_seconds", low=0.6, high=4, unit="s", kind="log", description="time to -60 dB"),
        Parameter(name="predelay_ms", low=2, high=60, unit="ms", description="time before the reverberation starts"),
        Parameter(
            name="tone_hz",
            low=1500,
            high=8000,
            unit="Hz",
            kind="log",
            description="corner frequency of the low-pass that darkens the hall",
        ),
        Parameter(name="mix", low=0.25, high=0.7, unit="1", description="share of the wet sound: 0 dry, 1 wet"),
    ),
    render=_render,
)
