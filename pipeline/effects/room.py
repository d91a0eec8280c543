"""Room: a drawn impulse response of early reflections and a tail, for recordings that were not made in a booth.

As in Moorer 1979 ("About this reverberation business"), the tail is noise under an exponential; a one-pole filter makes
it as dark as air and walls do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.signal import fftconvolve, lfilter

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.pipeline.sound.colouring import generator_of
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

EARLY = 6
"""Reflections before the tail."""


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    rng = generator_of(values["seed"], 1)
    count = min(round(values["decay_seconds"] * rate), audio.shape[1])
    time = np.arange(count) / rate
    tail = rng.standard_normal(count) * 10 ** (-3 * time / values["decay_seconds"])
    pole = np.exp(-2 * np.pi * min(values["cutoff_hz"], 0.45 * rate) / rate)
    tail = lfilter([1 - pole], [1, -pole], tail)
    places = np.minimum((rng.uniform(0.002, 0.04, EARLY) * rate).astype(int), count - 1)
    response = tail / max(float(np.sqrt((tail**2).sum())), 1e-9)
    response[places] += rng.uniform(-0.3, 0.3, EARLY)
    wet = fftconvolve(audio.astype(np.float64), response[None, :], axes=1)[:, : audio.shape[1]]
    return (audio + 10 ** (values["level_db"] / 20) * wet).astype(np.float32)


EFFECT = Effect(
    summary="Room: early reflections and a dark tail of a drawn impulse response.",
    family="reverb",
    effect_class="reverb",
    space=ParameterSpace.of(
        Parameter(
            name="level_db",
            low=-30,
            high=0,
            unit="dB",
            kind="db",
            description="energy of the room relative to the direct sound",
        ),
        Parameter(name="decay_seconds", low=0.1, high=1.2, unit="s", kind="log", description="time to -60 dB"),
        Parameter(name="cutoff_hz", low=800, high=8000, unit="Hz", kind="log", description="low-pass of the tail"),
        Parameter(name="seed", low=0, high=1, unit="1", description="which room: another one for each number"),
    ),
    render=_render,
)
