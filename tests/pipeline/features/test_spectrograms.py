"""Log-mel and STFT against librosa; YIN against known pitches and librosa."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest

from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.sound import mel_bands
from timbre_data.pipeline.sound.note_pitch import NOTE_HOP, note_f0, typical
from timbre_data.pipeline.sound.pitch import Yin
from timbre_data.pipeline.sources import SOURCES
from timbre_data.schemas.arrays import Audio

RATE = 22_050
UNKNOWN = np.full(4, np.nan, np.float32)


@pytest.fixture(scope="module")
def sounds() -> Audio:
    source = SOURCES.load("plucked_string")
    notes = source.open(source.settings())
    return np.stack([notes.render(i, RATE, 1, 33_075)[0] for i in (3, 500, 900, 1500)])


@pytest.mark.parametrize(
    "changes", [{}, {"n_fft": 2048, "hop_length": 512, "n_mels": 80, "fmin_hz": 50.0, "fmax_hz": 8000.0}]
)
def test_logmel_is_librosas_to_a_hundredth_of_a_db(sounds: Audio, changes: dict[str, float]) -> None:
    features = FEATURE_SETS.load("logmel")
    settings: Any = features.settings(**changes)
    ours = features.compute(sounds, RATE, UNKNOWN, settings)
    for sound, one in zip(sounds, ours, strict=True):
        mel = librosa.feature.melspectrogram(
            y=sound,
            sr=RATE,
            n_fft=settings.n_fft,
            hop_length=settings.hop_length,
            n_mels=settings.n_mels,
            fmin=settings.fmin_hz,
            fmax=settings.fmax_hz,
            pad_mode="constant",
        )
        error = np.abs(one - librosa.power_to_db(mel, top_db=None))
        assert error.max() < 0.01
        assert np.median(error) < 1e-4


def test_stft_is_librosas(sounds: Audio) -> None:
    features = FEATURE_SETS.load("stft")
    ours = features.compute(sounds, RATE, UNKNOWN, features.settings())
    for sound, one in zip(sounds, ours, strict=True):
        power = np.abs(librosa.stft(sound.astype(np.float64), n_fft=1024, hop_length=256, pad_mode="constant")) ** 2
        loud = power > 1e-8 * power.max(axis=0)  # 80 dB: below, float32 itself rounds more
        assert np.abs(one - 10 * np.log10(np.maximum(power, 1e-10)))[loud].max() < 0.01


def test_stored_spectrograms_round_to_a_sixteenth_of_a_db(sounds: Audio) -> None:
    features = FEATURE_SETS.load("logmel")
    values = features.compute(sounds, RATE, UNKNOWN, features.settings())
    assert np.abs(values.astype(features.dtype).astype(np.float32) - values).max() < 1 / 16


@pytest.mark.parametrize(("n_mels", "fmin", "fmax"), [(128, 0.0, RATE / 2), (40, 30.0, 8000.0)])
def test_mel_filters_are_librosas(n_mels: int, fmin: float, fmax: float) -> None:
    starts, counts, weights = mel_bands.mel_filters(RATE, 1024, n_mels, fmin, fmax)
    dense = np.zeros((n_mels, 513))
    ends = np.cumsum(counts)
    for band in range(n_mels):
        dense[band, starts[band] : starts[band] + counts[band]] = weights[ends[band] - counts[band] : ends[band]]
    assert np.allclose(dense, librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=n_mels, fmin=fmin, fmax=fmax), atol=1e-7)


@pytest.mark.parametrize("hz", [70.0, 82.41, 196.0, 440.0, 987.77, 1318.5])
def test_yin_knows_the_pitch_of_a_harmonic_tone(hz: float) -> None:
    t = np.arange(RATE) / RATE
    tone = sum(np.sin(2 * np.pi * k * hz * t + k) / k for k in range(1, 9) if k * hz < RATE / 2).astype(np.float32)  # type: ignore[union-attr]  # a sum of arrays
    assert abs(1200 * np.log2(note_f0(tone, RATE) / hz)) < 5


def test_yin_agrees_with_librosas(sounds: Audio) -> None:
    for sound in sounds:
        ours = Yin(len(sound), RATE, 512)(sound)[0].copy()
        theirs = librosa.yin(sound, fmin=60, fmax=1400, sr=RATE, frame_length=2048, hop_length=512, pad_mode="constant")
        middle = slice(3, -3)
        assert np.median(np.abs(1200 * np.log2(ours[middle] / theirs[middle]))) < 5


@pytest.mark.parametrize("rate", [16_000, RATE, 44_100, 96_000])
def test_the_pitch_of_a_note_is_that_of_its_frames(rate: int) -> None:
    """Differences that are summed as they are defined, and by FFT."""
    rng = np.random.default_rng(rate)
    for hz in (62.0, 110.0, 333.3, 1318.5):
        t = np.arange(rate) / rate
        tone = sum(np.sin(2 * np.pi * k * hz * t + k) / k for k in range(1, 9) if k * hz < rate / 2)
        note = ((tone + 0.01 * rng.standard_normal(rate)) * np.exp(-3 * t)).astype(np.float32)
        by_frames = typical(*Yin(len(note), rate, NOTE_HOP)(note))
        assert abs(1200 * np.log2(note_f0(note, rate) / by_frames)) < 0.05


def test_silence_has_no_pitch() -> None:
    assert np.isnan(note_f0(np.zeros(8000, np.float32), RATE))
    assert np.isnan(typical(*Yin(8000, RATE, 512)(np.zeros(8000, np.float32))))
