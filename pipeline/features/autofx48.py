"""The 48 features of effect parameter regression (D'Hooghe 2022): what moves in a sound, how fast and how much.

Three frame series (pitch; phase of the strongest bin; RMS energy) and their differences: of each, the two largest
maxima of its spectrum and where they lie: 24. Standard deviation and skewness of the RMS and of its difference: 4.
Times and activations of the first five SuperFlux onsets: 10. Means of ten MFCCs: 10.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.feature_set import Columns, FeatureSet
from timbre_data.pipeline.sound import mel_bands
from timbre_data.pipeline.sound.frame_series import strongest_phase
from timbre_data.pipeline.sound.onsets import first_onsets, log_filters, superflux
from timbre_data.pipeline.sound.pitch import Yin
from timbre_data.pipeline.sound.short_time import ShortTimeTransform, hann, magnitude
from timbre_data.pipeline.sound.statistics import functionals
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.base import Frozen

N_FFT, HOP = 2048, 256
RMS_FRAME = 1024
PHASE_BINS = (20, 256)
MODULATION_FFT = 1024
LOW_BINS, NEIGHBOURS = 16, 32
ONSETS, N_MFCC, N_MELS = 5, 10, 128
SERIES = ("pitch", "pitch_difference", "phase", "phase_difference", "rms", "rms_difference")
_MAXIMA = ("maximum_1", "maximum_1_bin", "maximum_2", "maximum_2_bin")


class Autofx48Settings(Frozen):
    """Nothing to set: the paper fixes every number."""


NAMES = (
    *(f"{series}_{maximum}" for series in SERIES for maximum in _MAXIMA),
    *(f"{series}_{functional}" for series in ("rms", "rms_difference") for functional in ("std", "skewness")),
    *(f"onset_{k}_seconds" for k in range(1, ONSETS + 1)),
    *(f"onset_{k}_activation" for k in range(1, ONSETS + 1)),
    *(f"mfcc_{k}_mean" for k in range(1, N_MFCC + 1)),
)


def rms(sound: Audio, length: int = RMS_FRAME) -> NDArray[np.float64]:
    """Root mean square of frames without overlap [shape=(samples // length,)]."""
    frames = sound[: len(sound) // length * length].reshape(-1, length).astype(np.float64)
    return np.sqrt(np.mean(frames**2, axis=1))


def spectral_maxima(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """The two largest maxima of a series' spectrum and their places: value, bin / 512, value, bin / 512.

    The series loses its mean, gets a Hann window and an FFT of 1024; the first 16 bins, and then the 32 to each side of
    the first maximum, do not count.
    """
    series = series[:MODULATION_FFT]
    if not len(series):  # a sound too short for a single difference
        return np.zeros(4)
    spectrum = np.abs(np.fft.rfft((series - series.mean()) * hann(len(series)), MODULATION_FFT))
    spectrum[:LOW_BINS] = 0
    first = int(np.argmax(spectrum))
    value = spectrum[first]
    spectrum[max(first - NEIGHBOURS, 0) : first + NEIGHBOURS + 1] = 0
    second = int(np.argmax(spectrum))
    return np.array([value, first / (MODULATION_FFT / 2), spectrum[second], second / (MODULATION_FFT / 2)])


def fill_gaps(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace NaN by the nearest values, linearly; all-NaN becomes zero."""
    known = np.flatnonzero(np.isfinite(series))
    if len(known) == len(series):
        return series.copy()
    return np.interp(np.arange(len(series)), known, series[known]) if len(known) else np.zeros_like(series)


def _columns(rate: int, samples: int, settings: Autofx48Settings) -> Columns:
    return Columns(shape=(len(NAMES),), names=NAMES)


def _compute(audio: Audio, rate: int, f0_hz: NDArray[np.float32], settings: Autofx48Settings) -> NDArray[np.float32]:
    samples = audio.shape[1]
    transform, yin = ShortTimeTransform(samples, N_FFT, HOP), Yin(samples, rate, HOP)
    magnitudes = np.empty((transform.frames, N_FFT // 2 + 1), np.float32)
    mel, mfcc = np.empty((transform.frames, N_MELS), np.float32), np.empty((transform.frames, N_MFCC), np.float32)
    mel_bank, basis = mel_bands.mel_filters(rate, N_FFT, N_MELS, 0.0, rate / 2), mel_bands.cosine_basis(N_MELS, N_MFCC)
    bands = log_filters(rate, N_FFT)
    summary = np.empty(6)
    inside = max(1, 1 + (samples - N_FFT // 2) // HOP)  # later frames see the sound's cut end, which is no onset
    out = np.empty((len(audio), len(NAMES)), np.float32)
    for i, sound in enumerate(audio):
        spectrum = transform(sound)
        magnitude(spectrum, magnitudes)
        pitch = fill_gaps(yin(sound)[0])
        phase = strongest_phase(spectrum, magnitudes, *PHASE_BINS)
        energy = rms(sound)
        series = (pitch, np.diff(pitch), phase, np.diff(phase), energy, np.diff(energy))
        maxima = np.concatenate([spectral_maxima(one) for one in series])
        moments = []
        for one in series[4:]:
            functionals(one, summary)
            moments += [summary[3], summary[4]]
        times, activations = first_onsets(superflux(magnitudes[:inside], *bands), rate / HOP, ONSETS)
        mel_bands.mel_db(magnitudes, *mel_bank, mel)
        mel_bands.mfcc(mel, basis, 80.0, mfcc)
        out[i] = np.concatenate([maxima, moments, times, activations, mfcc.mean(axis=0, dtype=np.float64)])
    return out


FEATURES = FeatureSet(
    summary="48 features of modulation, onsets and colour for effect parameter regression (D'Hooghe 2022).",
    group="features",
    settings=Autofx48Settings,
    columns=_columns,
    compute=_compute,
)
