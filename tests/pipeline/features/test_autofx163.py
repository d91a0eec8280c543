"""The 163 features against float64 NumPy written from the definitions, SciPy and librosa."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.stats

from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.features.autofx163 import FEATURES, SERIES, Autofx163Settings
from timbre_data.pipeline.sources import SOURCES
from timbre_data.schemas.arrays import Audio

RATE = 22_050
NAMES = FEATURES.columns(RATE, 33_075, Autofx163Settings()).names


@pytest.fixture(scope="module")
def sounds() -> Audio:
    """Twelve notes through twelve settings of the distortion, and plain noise."""
    source = SOURCES.load("plucked_string")
    notes, effect = source.open(source.settings()), EFFECTS.load("distortion")
    rng = np.random.default_rng(0)
    made = []
    for i in range(0, 1872, 156):
        values = effect.space.to_values(rng.random((1, 7)))[0]
        wet = effect.render(notes.render(i, RATE, 1, 33_075), RATE, effect.space.as_mapping(values))[0]
        made.append(wet / np.abs(wet).max())
    return np.stack([*made, rng.uniform(-1, 1, 33_075)]).astype(np.float32)


def reference_series(sound: np.ndarray, settings: Autofx163Settings) -> dict[str, np.ndarray]:
    """The eight series, straight from their definitions, in float64."""
    stft = librosa.stft(
        sound.astype(np.float64), n_fft=settings.n_fft, hop_length=settings.hop_length, pad_mode="constant"
    )
    x = np.abs(stft)
    f = np.linspace(0, RATE / 2, len(x))[:, None]
    a = x / x.sum(axis=0)
    centroid = (f * a).sum(axis=0)
    power = np.cumsum(x**2, axis=0)
    flux = np.abs(np.diff(x, axis=1)).sum(axis=0)
    slope = [scipy.stats.linregress(f[:, 0], frame).slope for frame in x.T]
    return {
        "centroid": centroid,
        "spread": ((f - centroid) ** 2 * a).sum(axis=0),
        "skewness": ((f - centroid) ** 3 * a).sum(axis=0),
        "kurtosis": ((f - centroid) ** 4 * a).sum(axis=0),
        "slope": np.array(slope),
        "rolloff": f[np.argmax(power >= 0.95 * power[-1], axis=0), 0],
        "flux": np.concatenate([[0], flux]),
        "flatness": scipy.stats.gmean(np.maximum(x, 1e-10), axis=0) / x.mean(axis=0),
    }


def functionals(series: np.ndarray) -> list[float]:
    return [
        series.min(),
        series.max(),
        series.mean(),
        series.std(),
        scipy.stats.skew(series),
        scipy.stats.kurtosis(series),
    ]


def reference(sound: np.ndarray, f0_hz: float, settings: Autofx163Settings) -> np.ndarray:
    series = reference_series(sound, settings)
    plain = [v for name in SERIES for v in functionals(series[name])]
    differences = [
        v for name in SERIES for i, v in enumerate(functionals(np.diff(series[name]))) if (name, i) != ("flux", 0)
    ]
    pitched = [v for name in SERIES for v in functionals(series[name] / f0_hz)]
    mfcc = librosa.feature.mfcc(
        y=sound,
        sr=RATE,
        n_mfcc=10,
        n_mels=settings.n_mels,
        n_fft=settings.n_fft,
        hop_length=settings.hop_length,
        pad_mode="constant",
    )
    return np.array(plain + differences + pitched + [v for row in mfcc for v in (row.mean(), row.max())])


@pytest.mark.parametrize("settings", [Autofx163Settings(), Autofx163Settings(n_fft=8192)], ids=["2048", "8192"])
def test_matches_the_definitions(sounds: Audio, settings: Autofx163Settings) -> None:
    """Relative to each feature's own scale over the sounds: median 1e-6, worst 2e-3 (a roll-off bin may tip)."""
    f0_hz = np.linspace(80, 600, len(sounds)).astype(np.float32)
    ours = FEATURES.compute(sounds, RATE, f0_hz, settings)
    theirs = np.stack([reference(sound, float(f0), settings) for sound, f0 in zip(sounds, f0_hz, strict=True)])
    scale = np.abs(theirs).max(axis=0)
    error = np.abs(ours - theirs) / np.where(scale, scale, 1)
    worst = {NAMES[i]: float(error[:, i].max()) for i in np.argsort(error.max(axis=0))[::-1][:5]}
    assert np.median(error) < 1e-6
    assert error.max() < 2e-3, worst


def test_there_are_163_with_the_constant_one_left_out() -> None:
    assert len(NAMES) == len(set(NAMES)) == 163 == 48 + 47 + 48 + 20
    assert "flux_difference_min" not in NAMES


def test_an_unknown_pitch_is_measured_from_the_sound() -> None:
    t = np.arange(33_075) / RATE
    sound = np.sum([np.sin(2 * np.pi * k * 196 * t) / k for k in range(1, 8)], axis=0)[None].astype(np.float32)
    known, measured = (
        FEATURES.compute(sound, RATE, np.array([f0], np.float32), Autofx163Settings()) for f0 in (196, np.nan)
    )
    assert np.allclose(known, measured, rtol=2e-3)
    doubled = FEATURES.compute(sound, RATE, np.array([392], np.float32), Autofx163Settings())
    column = NAMES.index("centroid_over_pitch_mean")
    assert doubled[0, column] == pytest.approx(known[0, column] / 2, rel=1e-6)
