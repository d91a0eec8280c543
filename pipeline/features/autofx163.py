"""The 163 features of effect classification (D'Hooghe 2022, table B.1).

Eight series over STFT frames (centroid, spread, skewness, kurtosis, slope, roll-off, flux, flatness) x six functionals: 48.
Their frame differences, less the minimum of the flux difference: 47. The series divided by the note's pitch: 48. Mean and maximum
of the first ten MFCCs: 20. With f = linspace(0, rate / 2) and a = |X| / sum |X|, the moments are central and not standardised.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from timbre_data.pipeline.features import _mel
from timbre_data.pipeline.features._frames import ShortTimeTransform, magnitude
from timbre_data.pipeline.features._pitch import NOTE_HOP, Yin, typical
from timbre_data.pipeline.features._statistics import FUNCTIONALS, functionals
from timbre_data.pipeline.kinds import Audio, Columns, FeatureSet

SERIES = ("centroid", "spread", "skewness", "kurtosis", "slope", "rolloff", "flux", "flatness")
N_MFCC = 10
LEFT_OUT = "flux_difference_min"
ROLLOFF = 0.95


class Autofx163Settings(BaseModel):
    """STFT of the eight series and of the MFCCs. The published code used an FFT of 8192."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    n_fft: int = Field(2048, ge=256, le=32768)
    hop_length: int = Field(512, ge=32)
    n_mels: int = Field(128, ge=20, le=512)


def _all_names() -> list[str]:
    plain = [f"{series}_{functional}" for series in SERIES for functional in FUNCTIONALS]
    differences = [f"{series}_difference_{functional}" for series in SERIES for functional in FUNCTIONALS]
    pitched = [f"{series}_over_pitch_{functional}" for series in SERIES for functional in FUNCTIONALS]
    mfccs = [f"mfcc_{k}_{functional}" for k in range(1, N_MFCC + 1) for functional in ("mean", "max")]
    return plain + differences + pitched + mfccs


_NAMES = _all_names()
_KEPT = np.array([i for i, name in enumerate(_NAMES) if name != LEFT_OUT])


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def frame_series(magnitudes: Audio, rate: float, out: NDArray[np.float64]) -> None:
    """The eight series [shape=(8, frames)] of a magnitude spectrogram [shape=(frames, bins)]."""
    frames, bins = magnitudes.shape
    step = 0.5 * rate / (bins - 1)
    f_mean = 0.25 * rate
    f_variance = step * step * (bins * bins - 1) / 12.0
    for t in range(frames):
        row = magnitudes[t]
        total = weighted = energy = flux = 0.0
        for k in range(bins):
            value = np.float64(row[k])
            total += value
            weighted += k * value
            energy += value * value
        if t > 0:
            before = magnitudes[t - 1]
            for k in range(bins):
                flux += abs(row[k] - before[k])
        logarithm = 0.0
        k = 0
        while k < bins:  # one logarithm for sixteen bins
            product = 1.0
            for j in range(k, min(k + 16, bins)):
                product *= max(np.float64(row[j]), 1e-10)
            logarithm += np.log(product)
            k += 16
        inverse = 1.0 / total if total > 0 else 0.0
        centre = weighted * inverse
        second = third = fourth = 0.0
        for k in range(bins):
            d = k - centre
            a = row[k] * inverse
            second += d * d * a
            third += d * d * d * a
            fourth += d * d * d * d * a
        rolled, reached = 0.0, 0
        for k in range(bins):
            rolled += np.float64(row[k]) * np.float64(row[k])
            if rolled >= ROLLOFF * energy:
                reached = k
                break
        mean = total / bins
        out[0, t] = centre * step
        out[1, t] = second * step**2
        out[2, t] = third * step**3
        out[3, t] = fourth * step**4
        out[4, t] = (weighted * step / bins - f_mean * mean) / f_variance
        out[5, t] = reached * step
        out[6, t] = flux
        out[7, t] = np.exp(logarithm / bins) / max(mean, 1e-10)


@njit(cache=True, nogil=True)
def _summarise(series: NDArray[np.float64], mfcc: Audio, f0_hz: float, out: NDArray[np.float64]) -> None:
    """All 164 numbers of one sound, in the order of `_NAMES`."""
    count = series.shape[0]
    for s in range(count):
        functionals(series[s], out[s * 6 : s * 6 + 6])
        functionals(np.diff(series[s]), out[(count + s) * 6 : (count + s) * 6 + 6])
        for k in range(6):
            out[(2 * count + s) * 6 + k] = out[s * 6 + k] / f0_hz if k < 4 else out[s * 6 + k]
    for c in range(mfcc.shape[1]):
        total, high = 0.0, mfcc[0, c]
        for t in range(mfcc.shape[0]):
            total += mfcc[t, c]
            high = max(high, mfcc[t, c])
        out[18 * count + 2 * c] = total / mfcc.shape[0]
        out[18 * count + 2 * c + 1] = high


def _columns(rate: int, samples: int, settings: Autofx163Settings) -> Columns:
    return Columns(shape=(len(_KEPT),), names=tuple(_NAMES[i] for i in _KEPT))


def _compute(audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: Autofx163Settings) -> NDArray[np.float32]:
    samples = audio.shape[1]
    transform = ShortTimeTransform(samples, settings.n_fft, settings.hop_length)
    yin = Yin(samples, rate, NOTE_HOP)
    magnitudes = np.empty((transform.frames, settings.n_fft // 2 + 1), np.float32)
    mel = np.empty((transform.frames, settings.n_mels), np.float32)
    mfcc = np.empty((transform.frames, N_MFCC), np.float32)
    filters = _mel.mel_filters(rate, settings.n_fft, settings.n_mels, 0.0, rate / 2)
    basis = _mel.cosine_basis(settings.n_mels, N_MFCC)
    series = np.empty((len(SERIES), transform.frames))
    numbers = np.empty(len(_NAMES))
    out = np.empty((len(audio), len(_KEPT)), np.float32)
    for i, sound in enumerate(audio):
        magnitude(transform(sound), magnitudes)
        frame_series(magnitudes, float(rate), series)
        _mel.mel_db(magnitudes, *filters, mel)
        _mel.mfcc(mel, basis, 80.0, mfcc)
        pitch = float(f0_hz[i])
        if not np.isfinite(pitch):
            pitch = typical(*yin(sound))
        _summarise(series, mfcc, pitch if np.isfinite(pitch) else 1.0, numbers)
        out[i] = numbers[_KEPT]
    return out


FEATURES = FeatureSet(
    summary="163 spectral statistics and MFCCs for effect classification (D'Hooghe 2022).",
    group="features",
    settings=Autofx163Settings,
    columns=_columns,
    compute=_compute,
)
