"""Log-mel spectrogram in dB."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from timbre_data.pipeline.catalogue.feature_set import Columns, FeatureSet
from timbre_data.pipeline.sound import mel_bands
from timbre_data.pipeline.sound.short_time import ShortTimeTransform, frame_count, magnitude
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen
from timbre_data.schemas.errors import UsageError


class LogMelSettings(Frozen):
    """Centred Hann STFT, Slaney mel bands of equal area, 10 log10 of power (floor 1e-10). `fmax_hz` None is half the
    rate.
    """

    n_fft: int = Field(1024, ge=64, le=32768, description="FFT length in samples")
    hop_length: int = Field(256, ge=16, description="hop between frames in samples")
    n_mels: int = Field(128, ge=4, le=512, description="number of mel bands")
    fmin_hz: float = Field(0.0, ge=0, description="lowest frequency in Hz")
    fmax_hz: float | None = Field(None, gt=0, description="highest frequency in Hz; by default half the rate")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fmax_hz is not None and self.fmax_hz <= self.fmin_hz:
            raise ValueError(f"fmax_hz ({self.fmax_hz}) must exceed fmin_hz ({self.fmin_hz})")
        return self


def _columns(rate: int, samples: int, settings: LogMelSettings) -> Columns:
    highest = settings.fmax_hz or rate / 2
    if not settings.fmin_hz < highest <= rate / 2:
        raise UsageError(
            f"logmel: bands from {settings.fmin_hz:g} to {highest:g} Hz do not fit into sounds at {rate} Hz, which end at {rate / 2:g} Hz."
        )
    axes = {"bins": "mel bands, low to high", "frames": f"one every {settings.hop_length / rate:.6f} s", "unit": "dB"}
    return Columns(shape=(settings.n_mels, frame_count(samples, settings.hop_length)), axes=axes)


def _compute(audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: LogMelSettings) -> NDArray[np.float32]:
    transform = ShortTimeTransform(audio.shape[1], settings.n_fft, settings.hop_length)
    magnitudes = np.empty((transform.frames, settings.n_fft // 2 + 1), np.float32)
    mel = np.empty((transform.frames, settings.n_mels), np.float32)
    filters = mel_bands.mel_filters(
        rate, settings.n_fft, settings.n_mels, settings.fmin_hz, settings.fmax_hz or rate / 2
    )
    out = np.empty((len(audio), settings.n_mels, transform.frames), np.float32)
    for i, sound in enumerate(audio):
        magnitude(transform(sound), magnitudes)
        mel_bands.mel_db(magnitudes, *filters, mel)
        out[i] = mel.T
    return out


FEATURES = FeatureSet(
    summary="Log-mel spectrogram in dB (default: FFT 1024, hop 256, 128 bands).",
    group="spectrograms",
    settings=LogMelSettings,
    columns=_columns,
    compute=_compute,
    dtype="float16",
)
