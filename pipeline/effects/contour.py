"""Contour: another course of a note's loudness. Attack softened, decay steeper, an end; shifted in time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace

RELEASE_SECONDS = 0.06


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    samples = audio.shape[1]
    shift = round(values["shift_ms"] * rate / 1000)
    moved = np.zeros_like(audio)
    if shift >= 0:
        moved[:, shift:] = audio[:, : samples - shift]
    else:
        moved[:, :shift] = audio[:, -shift:]
    time = np.arange(samples) / rate
    attack = np.minimum(1.0, (time + 1 / rate) / (values["attack_ms"] / 1000))
    decay = 10 ** (-values["decay_db"] * time / 20)
    release = np.exp(-np.maximum(time - values["end_seconds"], 0) / RELEASE_SECONDS)
    return np.asarray(moved * (attack * decay * release), np.float32)


EFFECT = Effect(
    summary="Contour: a softer attack, a steeper decay, an end and a shift of a note.",
    family="other",
    space=ParameterSpace.of(
        Parameter(name="attack_ms", low=0.5, high=60, unit="ms", kind="log", description="rise of the attack"),
        Parameter(name="decay_db", low=0, high=40, unit="dB/s", description="decay added to the sound's own"),
        Parameter(name="end_seconds", low=0.3, high=3, unit="s", kind="log", description="where the note is let go"),
        Parameter(name="shift_ms", low=-15, high=15, unit="ms", description="earlier (its attack cut) or later"),
    ),
    render=_render,
)
