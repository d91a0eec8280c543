"""Filters: the sound has the response that is stored with it, and the response is SciPy's, pedalboard's and the
textbook's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pedalboard
import pytest
import soundfile
from scipy import signal

from tests.conftest import build
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.effects.filter import EFFECT, PASSING, FilterSettings
from timbre_data.pipeline.store.columns import RESPONSE
from timbre_data.pipeline.store.layout import RESPONSE_BINS
from timbre_data.pipeline.store.verify import verify
from timbre_data.schemas.errors import RecipeError, TimbreDataError

RATE = 16_000
KINDS = ("low_shelf", "high_shelf", "peaking", "lowpass", "highpass", "bandpass", "notch")
VALUES = {"gain_db": 10.0, "frequency_hz": 500.0, "q": 0.707}


def configured(**settings: Any) -> Any:
    assert EFFECT.configure is not None
    return EFFECT.configure(FilterSettings(**settings))


def values_for(effect: Any, **changes: float) -> dict[str, float]:
    return {name: (VALUES | changes)[name] for name in effect.space.names}


@pytest.mark.parametrize("design", ["iir", "fir"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_impulse_has_the_response_that_is_told(kind: str, design: str) -> None:
    effect = configured(kind=kind, design=design, order=50 if design == "fir" else 2)
    values = values_for(effect)
    impulse = np.zeros((1, RATE), np.float32)
    impulse[0, 0] = 1
    heard = np.abs(np.fft.rfft(effect.render(impulse, RATE, values)[0].astype(np.float64)))
    told = np.abs(effect.response(values, RATE, np.linspace(0, RATE / 2, RATE // 2 + 1)))
    loud = told > 1e-3
    assert np.abs(20 * np.log10(heard[loud] / told[loud])).max() < 0.01


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        ("low_shelf", pedalboard.LowShelfFilter(500, 10, 0.707)),
        ("high_shelf", pedalboard.HighShelfFilter(500, 10, 0.707)),
        ("peaking", pedalboard.PeakFilter(500, 10, 0.707)),
    ],
)
def test_shelves_and_peaks_are_pedalboards(kind: str, theirs: Any) -> None:
    effect = configured(kind=kind)
    sound = np.random.default_rng(0).uniform(-0.2, 0.2, (1, RATE)).astype(np.float32)
    assert np.abs(effect.render(sound, RATE, values_for(effect)) - theirs(sound, RATE)).max() < 1e-4


def test_the_papers_filters() -> None:
    """+10 dB at DC and 0 dB at half the rate; 51 taps; -6 dB at the cut-off of a FIR filter, -3 dB of a Butterworth."""
    shelf = configured(kind="low_shelf")
    low, high = np.abs(shelf.response(values_for(shelf), RATE, np.array([0.0, 7999.0])))
    assert 20 * np.log10(low) == pytest.approx(10, abs=1e-6)
    assert 20 * np.log10(high) == pytest.approx(0, abs=1e-3)
    for kind in PASSING:
        fir = configured(kind=kind, design="fir", order=50)
        impulse = np.zeros((1, 200), np.float32)
        impulse[0, 0] = 1
        assert np.flatnonzero(np.abs(fir.render(impulse, RATE, {"frequency_hz": 500.0})[0]) > 1e-12).max() == 50
        expected = signal.firwin(51, 500, pass_zero=kind, fs=RATE)
        assert np.allclose(fir.render(impulse, RATE, {"frequency_hz": 500.0})[0, :51], expected, atol=1e-7)
        iir = configured(kind=kind, order=4)
        assert 20 * np.log10(np.abs(iir.response({"frequency_hz": 500.0}, RATE, np.array([500.0]))))[
            0
        ] == pytest.approx(-3.01, abs=0.01)
        two = configured(kind=kind, order=2)
        b, a = signal.butter(2, 500, kind, fs=RATE)
        theirs = signal.freqz(b, a, [100, 500, 2000], fs=RATE)[1]
        ours = two.response({"frequency_hz": 500.0, "q": 2**-0.5}, RATE, np.array([100.0, 500.0, 2000.0]))
        assert np.allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"design": "fir", "order": 51}, "even order"),
        ({"kind": "peaking", "order": 4}, "of order 2"),
        ({"kind": "lowpass", "order": 40}, "not stable"),
        ({"kind": "comb"}, "low_shelf"),
    ],
)
def test_impossible_filters_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        recipes.load({"name": "x", "chain": [{"effect": "filter", "settings": settings}]})


def test_a_frequency_above_half_the_rate_is_refused() -> None:
    with pytest.raises(TimbreDataError, match="needs a rate"):
        EFFECT.render(np.zeros((1, 100), np.float32), 8000, VALUES | {"frequency_hz": 5000.0})


@pytest.mark.parametrize("name", ["eq-shelving", "eq-peaking", "eq-lowpass", "eq-highpass", "eq-any"])
def test_every_row_has_its_response(name: str, tmp_path: Path) -> None:
    """The stored response, measured on the stored sounds: noise in, filtered noise out."""
    for k in range(3):
        noise = np.random.default_rng(k).uniform(-0.2, 0.2, RATE // 2)
        soundfile.write(tmp_path / f"{k}.wav", noise, RATE)
    source = {"name": "wav_folder", "path": str(tmp_path)}
    changes = {"n": 12, "source": source, "audio.seconds": 1.0, "audio.rate": RATE, "audio.peak": "fit"}
    data = build(recipes.load(validation.override(recipes.read(name), changes)), name)
    assert verify(data).whole
    stored = data.read(RESPONSE)
    assert stored.shape == (12, RESPONSE_BINS)
    dry = data.dry(np.arange(3))[:, 0]
    for row in range(12):
        wet = data.audio(row)[0] / float(data.read("gain")[row])
        own = dry[int(data.read("dry/index")[row])]
        before, after = (np.fft.rfft(sound, 16_384)[::16] for sound in (own, wet))
        heard = 20 * np.log10(np.abs(after / before))
        loud = (np.abs(before) > np.median(np.abs(before))) & (stored[row] > -40)
        assert np.median(np.abs(heard - stored[row])[loud]) < 0.1
