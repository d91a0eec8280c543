"""Magnitude STFT in dB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from timbre_data.pipeline.catalogue.feature_set import Columns, FeatureSet
from timbre_data.pipeline.sound.frame_series import power_db
from timbre_data.pipeline.sound.short_time import ShortTimeTransform, frame_count
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen


class StftSettings(Frozen):
    """Centred Hann STFT, 10 log10 of power (floor 1e-10)."""

    n_fft: int = Field(1024, ge=64, le=32768, description="FFT length in samples")
    hop_length: int = Field(256, ge=16, description="hop between frames in samples")


def _columns(rate: int, samples: int, settings: StftSettings) -> Columns:
    axes = {
        "bins": f"{rate / settings.n_fft:.6f} Hz apart",
        "frames": f"one every {settings.hop_length / rate:.6f} s",
        "unit": "dB",
    }
    return Columns(shape=(settings.n_fft // 2 + 1, frame_count(samples, settings.hop_length)), axes=axes)


def _compute(audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: StftSettings) -> NDArray[np.float32]:
    transform = ShortTimeTransform(audio.shape[1], settings.n_fft, settings.hop_length)
    out = np.empty((len(audio), settings.n_fft // 2 + 1, transform.frames), np.float32)
    for i, sound in enumerate(audio):
        power_db(transform(sound), out[i])
    return out


FEATURES = FeatureSet(
    summary="STFT power in dB (default: FFT 1024, hop 256).",
    group="spectrograms",
    settings=StftSettings,
    columns=_columns,
    compute=_compute,
    dtype="float16",
)
