"""Codec: coded as Ogg Vorbis and decoded again, by libsndfile: what lossy files do to a sound."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import soundfile

from timbre_data.pipeline.catalogue.effect import Effect
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.parameter import Parameter
from timbre_data.schemas.space import ParameterSpace


def _render(audio: Audio, rate: int, values: Mapping[str, float]) -> Audio:
    scale = max(float(np.abs(audio).max(initial=0.0)), 1e-9)
    file = io.BytesIO()
    compression = 1 - values["quality"]
    soundfile.write(file, 0.9 * audio.T / scale, rate, format="OGG", subtype="VORBIS", compression_level=compression)
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32", always_2d=True)[0].T
    out = np.zeros_like(audio)
    out[:, : decoded.shape[1]] = decoded[:, : audio.shape[1]] * np.float32(scale / 0.9)
    return out


EFFECT = Effect(
    summary="Codec: Ogg Vorbis of a drawn quality, coded and decoded.",
    family="other",
    space=ParameterSpace.of(Parameter(name="quality", low=0, high=1, unit="1", description="quality of the coder")),
    render=_render,
)
