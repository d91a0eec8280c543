"""Magnitude STFT in dB."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from timbre_data.pipeline.features._frames import ShortTimeTransform, Spectrum, frame_count
from timbre_data.pipeline.kinds import Audio, Columns, FeatureSet

AMIN = 1e-10


class StftSettings(BaseModel):
    """Centred Hann STFT, 10 log10 of power (floor 1e-10)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    n_fft: int = Field(1024, ge=64, le=32768)
    hop_length: int = Field(256, ge=16)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _power_db(spectrum: Spectrum, out: Audio) -> None:
    """10 log10 |X|^2, floored, transposed to [shape=(bins, frames)]."""
    for t in range(spectrum.shape[0]):
        for k in range(spectrum.shape[1]):
            value = spectrum[t, k]
            power = value.real * value.real + value.imag * value.imag
            out[k, t] = np.float32(10.0) * np.log10(max(power, np.float32(AMIN)))


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
        _power_db(transform(sound), out[i])
    return out


FEATURES = FeatureSet(
    summary="STFT power in dB (default: FFT 1024, hop 256).",
    group="spectrograms",
    settings=StftSettings,
    columns=_columns,
    compute=_compute,
    dtype="float16",
)
