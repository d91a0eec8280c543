"""Distances against libraries that compute the same, and against what they are for."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from timbre_data.models.evaluation.distances import DISTANCES
from timbre_data.models.evaluation.distances.sot import transport
from timbre_data.pipeline.sound.warping import warped_cost

RATE = 22_050
TIME = np.arange(RATE) / RATE


def tone(hz: float, decay: float = 3.0) -> NDArray[np.float32]:
    """A decaying tone of ten partials."""
    partials = sum(np.sin(2 * np.pi * hz * k * TIME) / k for k in range(1, 11))
    return np.asarray(0.3 * partials * np.exp(-decay * TIME), np.float32)


def distance(name: str, made: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    return DISTANCES.load(name).compute(made, target, RATE)


def test_transport_is_scipys() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((5, 40)) ** 4, rng.random((5, 40)) ** 4
    places = np.arange(40) / 39
    found = transport(first, second, order=1)
    for k in range(5):
        assert found[k] == pytest.approx(wasserstein_distance(places, places, first[k], second[k]), rel=1e-9)
    moved = np.roll(first, 3, axis=1)
    moved[:, :3] = 0
    first[:, -3:] = 0
    assert transport(first, moved) == pytest.approx(np.full(5, 3 / 39), rel=1e-6)


def test_warping_is_librosas() -> None:
    rng = np.random.default_rng(1)
    costs = cdist(rng.normal(size=(30, 4)), rng.normal(size=(41, 4)))
    total, path = librosa.sequence.dtw(C=costs)
    cost, length = warped_cost(costs)
    assert cost == pytest.approx(total[-1, -1])
    assert length == len(path)


def test_the_reports_loss_is_what_it_says() -> None:
    """Log magnitudes and phases with a quarter of overlap, with librosa's transforms; an inverted sound has another
    phase, not another magnitude.
    """
    made, target = tone(220), tone(233)
    expected = 0.0
    for size in (64, 128, 256, 512, 1024, 2048):
        spectra = [
            librosa.stft(one.astype(np.float64), n_fft=size, hop_length=3 * size // 4, pad_mode="reflect")
            for one in (made, target)
        ]
        logs = [np.log(np.sqrt(np.maximum(np.abs(one) ** 2, 1e-8))) for one in spectra]
        phases = [np.angle(one) for one in spectra]
        expected += (np.abs(logs[0] - logs[1]).mean() + ((phases[0] - phases[1]) ** 2).mean()) / 6
    assert distance("mrstft_dhooghe", made, target) == pytest.approx(expected, rel=0.02)
    assert distance("mrstft_dhooghe", target, -target) > 5
    assert distance("mrstft", target, -target) < 1e-6


def test_multi_scale_loss_is_what_its_paper_says() -> None:
    """With librosa's transforms."""
    made, target = tone(220), tone(233)
    expected = 0.0
    for size in (2048, 1024, 512, 256, 128, 64):
        first, second = (
            np.abs(librosa.stft(one, n_fft=size, hop_length=size // 4, pad_mode="constant")) for one in (made, target)
        )
        expected += np.abs(first - second).mean()
        expected += np.abs(np.log(np.maximum(first, 1e-5)) - np.log(np.maximum(second, 1e-5))).mean()
    assert distance("mss", made, target) == pytest.approx(expected, rel=1e-3)


def test_transport_knows_that_a_semitone_is_near() -> None:
    near, far = (distance("sot", tone(220 * 2 ** (steps / 12)), tone(220)) for steps in (1, 12))
    assert 4 * near < far


def test_the_pitch_error_is_in_cents() -> None:
    assert distance("f0_cents", tone(220 * 2 ** (30 / 1200)), tone(220)) == pytest.approx(30, abs=3)
    assert distance("f0_cents", tone(55 * 8), tone(220 / 2)) == 1200


def test_the_envelope_does_not_know_the_level_but_the_course() -> None:
    assert distance("rms_envelope", 0.1 * tone(220), tone(220)) == pytest.approx(0, abs=1e-6)
    assert distance("rms_envelope", tone(220, 12), tone(220)) > 0.1


def test_warped_cepstra_forgive_timing() -> None:
    late = np.concatenate([np.zeros(2048, np.float32), tone(220)[:-2048]])
    other = np.asarray(np.tanh(20 * tone(220)), np.float32)
    assert distance("mfcc_dtw", late, tone(220)) < 0.5 * distance("mfcc_dtw", other, tone(220))
