"""A bag of frames: mean and deviation over a sound of frame-wise descriptors, for classical instrument recognition.

20 MFCCs with their first differences, and eight shapes of the spectrum: the kind of description that Fuhrmann 2012 and
Bosch et al. 2012 gave to a support vector machine, though not their very list.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from timbre_data.pipeline.catalogue.feature_set import Columns, FeatureSet
from timbre_data.pipeline.features.autofx163 import SERIES
from timbre_data.pipeline.sound import mel_bands
from timbre_data.pipeline.sound.frame_series import frame_series
from timbre_data.pipeline.sound.short_time import ShortTimeTransform, magnitude
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen

N_MFCC = 20


class BagOfFramesSettings(Frozen):
    """Short-time Fourier transform and mel bands."""

    n_fft: int = Field(2048, ge=64, description="FFT length in samples")
    hop_length: int = Field(512, ge=1, description="hop between frames in samples")
    n_mels: int = Field(40, ge=N_MFCC, description="number of mel bands")


def _names() -> tuple[str, ...]:
    frames = [
        *(f"mfcc_{k}" for k in range(1, N_MFCC + 1)),
        *(f"mfcc_{k}_change" for k in range(1, N_MFCC + 1)),
        *SERIES,
    ]
    return tuple(f"{name}_{functional}" for name in frames for functional in ("mean", "deviation"))


def _columns(rate: int, samples: int, settings: BagOfFramesSettings) -> Columns:
    return Columns(shape=(len(_names()),), names=_names())


def _compute(audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: BagOfFramesSettings) -> NDArray[np.float32]:
    transform = ShortTimeTransform(audio.shape[1], settings.n_fft, settings.hop_length)
    magnitudes = np.empty((transform.frames, settings.n_fft // 2 + 1), np.float32)
    mel = np.empty((transform.frames, settings.n_mels), np.float32)
    mfcc = np.empty((transform.frames, N_MFCC), np.float32)
    series = np.empty((len(SERIES), transform.frames))
    filters = mel_bands.mel_filters(rate, settings.n_fft, settings.n_mels, 0.0, rate / 2)
    basis = mel_bands.cosine_basis(settings.n_mels, N_MFCC)
    out = np.empty((len(audio), len(_names())), np.float32)
    for sound, row in zip(audio, out, strict=True):
        magnitude(transform(sound), magnitudes)
        frame_series(magnitudes, float(rate), series)
        mel_bands.mel_db(magnitudes, *filters, mel)
        mel_bands.mfcc(mel, basis, 80.0, mfcc)
        change = np.diff(mfcc, axis=0, prepend=mfcc[:1])
        frames = np.concatenate([mfcc.T.astype(np.float64), change.T.astype(np.float64), series])
        row[0::2], row[1::2] = frames.mean(axis=1), frames.std(axis=1)
    return out


FEATURES = FeatureSet(
    summary="Mean and deviation of MFCCs, their changes and spectral shapes: a bag of frames.",
    group="features",
    settings=BagOfFramesSettings,
    columns=_columns,
    compute=_compute,
)
