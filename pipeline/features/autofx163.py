"""The 163 features of effect classification (D'Hooghe 2022, table B.1).

Eight series over STFT frames (centroid, spread, skewness, kurtosis, slope, roll-off, flux, flatness) x six functionals:
48. Their frame differences, less the minimum of the flux difference: 47. The series divided by the note's pitch: 48.
Mean and maximum of the first ten MFCCs: 20. With f = linspace(0, rate / 2) and a = |X| / sum |X|, the moments are
central and not standardized. The table lists the variance of a series, where its square root stands here
(`autofx163_variance` has the variance).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from timbre_data.pipeline.catalogue.feature_set import Columns, FeatureSet
from timbre_data.pipeline.sound import mel_bands
from timbre_data.pipeline.sound.frame_series import frame_series, summarise_163
from timbre_data.pipeline.sound.note_pitch import NOTE_HOP, typical
from timbre_data.pipeline.sound.pitch import Yin
from timbre_data.pipeline.sound.short_time import ShortTimeTransform, magnitude
from timbre_data.pipeline.sound.statistics import FUNCTIONALS
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen

SERIES = ("centroid", "spread", "skewness", "kurtosis", "slope", "rolloff", "flux", "flatness")
N_MFCC = 10
LEFT_OUT = "flux_difference_min"


class Autofx163Settings(Frozen):
    """STFT of the eight series and of the MFCCs. The published code used an FFT of 8192."""

    n_fft: int = Field(2048, ge=256, le=32768, description="FFT length in samples")
    hop_length: int = Field(512, ge=32, description="hop between frames in samples")
    n_mels: int = Field(128, ge=20, le=512, description="number of mel bands")


def _all_names() -> list[str]:
    plain = [f"{series}_{functional}" for series in SERIES for functional in FUNCTIONALS]
    differences = [f"{series}_difference_{functional}" for series in SERIES for functional in FUNCTIONALS]
    pitched = [f"{series}_over_pitch_{functional}" for series in SERIES for functional in FUNCTIONALS]
    mfccs = [f"mfcc_{k}_{functional}" for k in range(1, N_MFCC + 1) for functional in ("mean", "max")]
    return plain + differences + pitched + mfccs


_NAMES = _all_names()
_KEPT = np.array([i for i, name in enumerate(_NAMES) if name != LEFT_OUT])


def _columns(rate: int, samples: int, settings: Autofx163Settings) -> Columns:
    return Columns(shape=(len(_KEPT),), names=tuple(_NAMES[i] for i in _KEPT))


def _compute(audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: Autofx163Settings) -> NDArray[np.float32]:
    samples = audio.shape[1]
    transform = ShortTimeTransform(samples, settings.n_fft, settings.hop_length)
    yin = Yin(samples, rate, NOTE_HOP)
    magnitudes = np.empty((transform.frames, settings.n_fft // 2 + 1), np.float32)
    mel = np.empty((transform.frames, settings.n_mels), np.float32)
    mfcc = np.empty((transform.frames, N_MFCC), np.float32)
    filters = mel_bands.mel_filters(rate, settings.n_fft, settings.n_mels, 0.0, rate / 2)
    basis = mel_bands.cosine_basis(settings.n_mels, N_MFCC)
    series = np.empty((len(SERIES), transform.frames))
    numbers = np.empty(len(_NAMES))
    out = np.empty((len(audio), len(_KEPT)), np.float32)
    for i, sound in enumerate(audio):
        magnitude(transform(sound), magnitudes)
        frame_series(magnitudes, float(rate), series)
        mel_bands.mel_db(magnitudes, *filters, mel)
        mel_bands.mfcc(mel, basis, 80.0, mfcc)
        pitch = float(f0_hz[i])
        if not np.isfinite(pitch):
            pitch = typical(*yin(sound))
        summarise_163(series, mfcc, pitch if np.isfinite(pitch) else 1.0, numbers)
        out[i] = numbers[_KEPT]
    return out


FEATURES = FeatureSet(
    summary="163 spectral statistics and MFCCs for effect classification (D'Hooghe 2022).",
    group="features",
    settings=Autofx163Settings,
    columns=_columns,
    compute=_compute,
)
