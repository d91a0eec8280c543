"""The 48 features: pieces against SciPy and NumPy, the whole against sounds whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.stats

from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.features.autofx48 import (
    FEATURES,
    HOP,
    N_FFT,
    NAMES,
    Autofx48Settings,
    rms,
    spectral_maxima,
)
from timbre_data.pipeline.sound import onsets
from timbre_data.pipeline.sound.frame_series import strongest_phase
from timbre_data.pipeline.sound.short_time import ShortTimeTransform

RATE = 22_050
SAMPLES = 33_075


def features(sound: np.ndarray) -> dict[str, float]:
    values = FEATURES.compute(sound[None].astype(np.float32), RATE, np.full(1, np.nan, np.float32), Autofx48Settings())
    return dict(zip(NAMES, values[0].tolist(), strict=True))


def string(hz: float = 220.0, seconds: float = 1.5) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 9)) * np.exp(-2 * t)


def test_there_are_48() -> None:
    assert len(NAMES) == len(set(NAMES)) == 48 == 24 + 4 + 10 + 10


def test_maxima_of_a_spectrum_match_numpy() -> None:
    series = 0.7 * np.sin(2 * np.pi * 0.2 * np.arange(130)) + 0.4 * np.sin(2 * np.pi * 0.35 * np.arange(130)) + 3
    window = scipy.signal.get_window("hann", 130)
    spectrum = np.abs(np.fft.rfft((series - series.mean()) * window, 1024))
    first, first_bin, second, second_bin = spectral_maxima(series)
    assert first == pytest.approx(spectrum[16:].max(), rel=1e-6)
    assert first_bin * 512 == pytest.approx(0.2 * 1024, abs=1)
    assert second_bin * 512 == pytest.approx(0.35 * 1024, abs=1)
    assert second == pytest.approx(spectrum[round(second_bin * 512)], rel=1e-6)


def test_rms_and_its_moments_match_scipy() -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, SAMPLES) * np.linspace(1, 0.1, SAMPLES)
    energy = np.sqrt((sound[: SAMPLES // 1024 * 1024].reshape(-1, 1024) ** 2).mean(axis=1))
    assert np.allclose(rms(sound.astype(np.float32)), energy, rtol=1e-6)
    found = features(sound)
    for name, series in (("rms", energy), ("rms_difference", np.diff(energy))):
        assert found[f"{name}_std"] == pytest.approx(series.std(), rel=1e-4)
        assert found[f"{name}_skewness"] == pytest.approx(scipy.stats.skew(series), rel=1e-3)


def test_phase_of_the_strongest_bin_matches_numpy() -> None:
    sound = string(700).astype(np.float32)
    spectrum = ShortTimeTransform(SAMPLES, N_FFT, HOP)(sound).copy()
    ours = strongest_phase(spectrum, np.abs(spectrum), 20, 256)
    strongest = 20 + np.abs(spectrum[:, 20:256]).sum(axis=0).argmax()
    assert strongest == round(700 * N_FFT / RATE)
    phase = np.unwrap(np.angle(spectrum[:, strongest].astype(complex)))
    assert np.allclose(ours, scipy.signal.detrend(phase), atol=1e-3)


@pytest.mark.parametrize("rate_hz", [4.0, 7.0])
def test_a_tremolo_shows_in_the_rms_spectrum(rate_hz: float) -> None:
    tremolo = EFFECTS.load("tremolo")
    steady = np.sin(2 * np.pi * 220 * np.arange(SAMPLES) / RATE)[None].astype(np.float32)
    sound = tremolo.render(steady, RATE, {"rate_hz": rate_hz, "depth": 0.9, "phase": 0.0, "square": 0.0})[0]
    found = features(sound)
    assert found["rms_maximum_1_bin"] * 512 / 1024 * RATE / 1024 == pytest.approx(rate_hz, abs=0.5)


def test_superflux_is_the_rectified_difference_to_the_maximum_filtered_past() -> None:
    magnitudes = np.random.default_rng(0).random((40, 1025)).astype(np.float32)
    starts, counts, weights = onsets.log_filters(RATE, 2048)
    bank = np.zeros((len(starts), 1025))
    offset = 0
    for band, (start, count) in enumerate(zip(starts, counts, strict=True)):
        bank[band, start : start + count] = weights[offset : offset + count]
        offset += count
    logs = np.log10(1 + magnitudes @ bank.T)
    past = np.vstack(
        [
            np.zeros((onsets.LAG, len(starts))),
            scipy.ndimage.maximum_filter1d(logs, 3, axis=1, mode="constant")[: -onsets.LAG],
        ]
    )
    expected = np.maximum(0, logs - past).sum(axis=1)
    assert np.allclose(onsets.superflux(magnitudes, starts, counts, weights), expected, rtol=1e-4)


def test_log_bands_are_24_an_octave_up_to_half_the_rate() -> None:
    starts, counts, _ = onsets.log_filters(RATE, 2048)
    centre = (starts + counts / 2)[-24:] * RATE / 2048
    assert centre[-1] / centre[0] == pytest.approx(2 ** (23 / 24), rel=0.02)
    assert centre[-1] < RATE / 2


@pytest.mark.parametrize("gap", [0.2, 0.31, 0.45])
def test_echoes_are_found_as_onsets(gap: float) -> None:
    """The published code never found a second onset; a delay's echoes are where they were put."""
    echo = EFFECTS.load("delay")
    burst = string(330, 1.5) * np.exp(-18 * np.arange(SAMPLES) / RATE)
    sound = echo.render(burst[None].astype(np.float32), RATE, {"delay_seconds": gap, "feedback": 0.8, "mix": 0.5})[0]
    found = features(sound)
    times = [found[f"onset_{k}_seconds"] for k in range(1, 6)]
    expected = [k * gap for k in range(5) if k * gap < 1.4]
    assert times[: len(expected)] == pytest.approx(expected, abs=0.025)
    assert all(found[f"onset_{k}_activation"] > 0 for k in range(1, len(expected) + 1))


def test_vibrato_is_no_onset() -> None:
    vibrato = EFFECTS.load("vibrato")
    sound = vibrato.render(string()[None].astype(np.float32), RATE, {"rate_hz": 6.0, "depth": 0.1})[0]
    found = features(sound)
    assert [found[f"onset_{k}_seconds"] for k in range(2, 6)] == [0, 0, 0, 0]


def test_mfcc_means_are_those_of_the_163() -> None:
    sound = string()
    other = FEATURE_SETS.load("autofx163")
    settings = other.settings(hop_length=HOP)
    names = other.columns(RATE, SAMPLES, settings).names
    values = other.compute(sound[None].astype(np.float32), RATE, np.full(1, 220, np.float32), settings)[0]
    found = features(sound)
    for k in range(1, 11):
        assert found[f"mfcc_{k}_mean"] == pytest.approx(values[names.index(f"mfcc_{k}_mean")], rel=1e-4, abs=1e-3)
