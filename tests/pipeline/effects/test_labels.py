"""The label must be what the sound has: each effect against SciPy or an analytic expectation."""

from __future__ import annotations

import numpy as np
import pedalboard
import pytest
import scipy.signal
from pedalboard._pedalboard import Pedalboard  # the package does not export it to type checkers

from timbre_data.pipeline.effects import EFFECTS
from timbre_data.schemas.arrays import Audio

RATE = 44_100


def impulse(seconds: float = 0.5, size: float = 1.0) -> Audio:
    sound = np.zeros((1, int(seconds * RATE)), np.float32)
    sound[0, 0] = size
    return sound


def sine(hz: float, seconds: float, level: float = 1.0) -> Audio:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)[None]


def render(name: str, sound: Audio, **values: float) -> np.ndarray:
    return EFFECTS.load(name).render(sound, RATE, values)[0].astype(np.float64)


def biquad(kind: str, hz: float, gain_db: float, q: float) -> tuple[np.ndarray, np.ndarray]:
    """The Audio EQ Cookbook (Bristow-Johnson), written out."""
    a, w = 10 ** (gain_db / 40), 2 * np.pi * hz / RATE
    c, alpha = np.cos(w), np.sin(w) / (2 * q)
    if kind == "peak":
        return np.array([1 + alpha * a, -2 * c, 1 - alpha * a]), np.array([1 + alpha / a, -2 * c, 1 - alpha / a])
    s = 2 * np.sqrt(a) * alpha
    if kind == "low":
        b = [a * (a + 1 - (a - 1) * c + s), 2 * a * (a - 1 - (a + 1) * c), a * (a + 1 - (a - 1) * c - s)]
        return np.array(b), np.array([a + 1 + (a - 1) * c + s, -2 * (a - 1 + (a + 1) * c), a + 1 + (a - 1) * c - s])
    b = [a * (a + 1 + (a - 1) * c + s), -2 * a * (a - 1 + (a + 1) * c), a * (a + 1 + (a - 1) * c - s)]
    return np.array(b), np.array([a + 1 - (a - 1) * c + s, 2 * (a - 1 - (a + 1) * c), a + 1 - (a - 1) * c - s])


FLAT = {
    "low_shelf_cutoff_hz": 100.0,
    "low_shelf_gain_db": 0.0,
    "low_shelf_q": 0.7,
    "high_shelf_cutoff_hz": 1000.0,
    "high_shelf_gain_db": 0.0,
    "high_shelf_q": 0.7,
}
"""Shelves that do nothing."""
SHELVES = [(cutoff, gain, q) for cutoff in (60.0, 300.0, 480.0) for gain in (-10.0, 6.5) for q in (0.5, 2.0)]


@pytest.mark.parametrize(("cutoff", "gain", "q"), SHELVES)
@pytest.mark.parametrize("kind", ["low", "high"])
def test_distortion_has_the_labelled_shelves(kind: str, cutoff: float, gain: float, q: float) -> None:
    """A tiny impulse passes tanh unchanged, so the response is that of the two shelves."""
    cutoff *= 1 if kind == "low" else 4
    label = {f"{kind}_shelf_cutoff_hz": cutoff, f"{kind}_shelf_gain_db": gain, f"{kind}_shelf_q": q}
    sound = impulse(size=1e-3)
    out = render("distortion", sound, drive_db=0.0, **(FLAT | label))
    expected = scipy.signal.lfilter(*biquad(kind, cutoff, gain, q), sound[0].astype(np.float64))
    assert np.abs(out - expected).max() < 1e-7  # of 1e-3: float32


@pytest.mark.parametrize("drive_db", [0.0, 12.0, 60.0])
def test_distortion_is_tanh_of_the_drive(drive_db: float) -> None:
    sound = sine(220, 0.2, 0.7)
    assert np.allclose(
        render("distortion", sound, drive_db=drive_db, **FLAT), np.tanh(10 ** (drive_db / 20) * sound[0]), atol=2e-5
    )


def test_distortion_is_that_of_pedalboard() -> None:
    rng = np.random.default_rng(0)
    effect = EFFECTS.load("distortion")
    sound = (rng.standard_normal((2, 22_050)) * 0.3).astype(np.float32)
    for row in rng.random((50, len(effect.space))).astype(np.float32):
        values = effect.space.as_mapping(effect.space.to_values(row[None])[0])
        low, high = (
            [values[f"{side}_shelf_{name}"] for name in ("cutoff_hz", "gain_db", "q")] for side in ("low", "high")
        )
        chain = [
            pedalboard.Distortion(values["drive_db"]),
            pedalboard.LowShelfFilter(*low),
            pedalboard.HighShelfFilter(*high),
        ]
        expected = Pedalboard(chain)(sound, RATE)
        ours = effect.render(sound, RATE, values)
        assert (
            np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()
        )  # pedalboard filters in float32, ours in float64


@pytest.mark.parametrize("name", ["delay", "feedback_delay", "slapback_delay"])
def test_delays_echo_when_and_as_loud_as_labelled(name: str) -> None:
    feedback = {} if name == "slapback_delay" else {"feedback": 0.5}
    out = render(name, impulse(), delay_seconds=0.1, mix=0.4, **feedback)
    expected = np.zeros_like(out)
    expected[0] = 0.6
    for k in range(1, 5 if feedback else 2):
        expected[k * 4410] = 0.4 * 0.5 ** (k - 1)
    assert np.allclose(out, expected, atol=1e-6)


def test_modulation_delay_feedback_and_mix() -> None:
    """At depth 0 the chorus is a fixed comb: the dry part, then inverted feedback echoes of the centre delay."""
    out = render("modulation", impulse(), rate_hz=1.0, depth=0.0, centre_delay_ms=10.0, feedback=0.5, mix=0.4)
    assert out[0] == pytest.approx(0.6, abs=1e-6)
    assert out[441] == pytest.approx(0.4, abs=1e-4)
    assert out[883] == pytest.approx(-0.2, abs=1e-3)  # the feedback path is one sample longer


def delay_over_time(wet: np.ndarray, hz: float) -> np.ndarray:
    """Delay (s) of a delayed sine, from its phase."""
    phase = np.unwrap(np.angle(scipy.signal.hilbert(wet)))
    delay = np.arange(len(wet)) / RATE - phase / (2 * np.pi * hz)
    delay = delay[RATE // 2 : -RATE // 10]
    return delay - np.round(delay.mean() * hz) / hz


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("modulation", {"feedback": 0.0, "centre_delay_ms": 15.0, "mix": 1.0}),
        ("chorus", {"centre_delay_ms": 15.0, "mix": 1.0}),
        ("flanger", {"feedback": 0.0, "centre_delay_ms": 15.0, "mix": 1.0}),
        ("vibrato", {}),
    ],
)
@pytest.mark.parametrize("rate_hz", [2.0, 5.0])
def test_modulated_delays_swing_at_the_labelled_rate_and_depth(
    name: str, rest: dict[str, float], rate_hz: float
) -> None:
    delay = delay_over_time(render(name, sine(200, 4.0), rate_hz=rate_hz, depth=0.2, **rest), 200)
    spectrum = np.abs(np.fft.rfft((delay - delay.mean()) * np.hanning(len(delay)), 2**20))
    assert np.argmax(spectrum) * RATE / 2**20 == pytest.approx(rate_hz, rel=0.01)
    assert np.ptp(delay) / 2 == pytest.approx(0.2 * 0.010, rel=0.02)  # full depth is 10 ms


def test_tremolo_is_its_formula() -> None:
    sound = sine(1000, 1.0)
    out = render("tremolo", sound, rate_hz=4.0, depth=0.6, phase=0.25, square=0.0)
    t = np.arange(RATE) / RATE
    assert np.allclose(out, sound[0] * (1 - 0.3 * (1 - np.cos(2 * np.pi * 4 * t))), atol=1e-6)
    square = render("tremolo", np.ones((1, RATE), np.float32), rate_hz=4.0, depth=0.6, phase=0.1, square=1.0)
    assert set(np.round(np.unique(square), 5)) <= {0.4, 0.7, 1.0}


def test_phaser_without_depth_is_six_allpasses() -> None:
    """Notches lie where the phases of six first-order all-passes add up to an odd multiple of pi."""
    out = render("phaser", impulse(1.0), rate_hz=1.0, depth=0.0, centre_frequency_hz=1000.0, feedback=0.0, mix=0.5)
    hz = np.fft.rfftfreq(len(out), 1 / RATE)
    g = (np.tan(np.pi * 1000 / RATE) - 1) / (np.tan(np.pi * 1000 / RATE) + 1)
    z = np.exp(-2j * np.pi * hz / RATE)
    expected = np.abs(0.5 + 0.5 * ((g + z) / (1 + g * z)) ** 6)
    assert np.allclose(np.abs(np.fft.rfft(out)), expected, atol=0.02)


def test_equaliser_is_three_cookbook_filters() -> None:
    sound = impulse()
    label = {
        "low_cutoff_hz": 120.0,
        "low_gain_db": 9.0,
        "peak_hz": 900.0,
        "peak_gain_db": -7.0,
        "peak_q": 2.0,
        "high_cutoff_hz": 5000.0,
        "high_gain_db": 4.0,
    }
    expected = sound[0].astype(np.float64)
    for kind, hz, gain, q in (("low", 120, 9, 0.707), ("peak", 900, -7, 2), ("high", 5000, 4, 0.707)):
        expected = scipy.signal.lfilter(*biquad(kind, hz, gain, q), expected)
    assert np.allclose(render("equaliser", sound, **label), expected, atol=1e-5)


@pytest.mark.parametrize(("threshold", "ratio"), [(-30.0, 4.0), (-20.0, 10.0)])
def test_compressor_has_the_labelled_static_curve(threshold: float, ratio: float) -> None:
    """A slow ballistic on a constant level: output = threshold + (input - threshold) / ratio, in dB."""
    level = -10.0
    constant = np.full((1, 4 * RATE), 10 ** (level / 20), np.float32)
    out = render("compressor", constant, threshold_db=threshold, ratio=ratio, attack_ms=5.0, release_ms=100.0)
    assert 20 * np.log10(out[-1]) == pytest.approx(threshold + (level - threshold) / ratio, abs=0.1)
    quiet = np.full((1, RATE), 10 ** ((threshold - 3) / 20), np.float32)
    assert np.allclose(
        render("compressor", quiet, threshold_db=threshold, ratio=ratio, attack_ms=5.0, release_ms=100.0),
        quiet[0],
        rtol=1e-3,
    )


def test_compressor_attack_is_a_time_constant() -> None:
    step = np.full((1, RATE), 1.0, np.float32)
    fast, slow = (
        render("compressor", step, threshold_db=-20.0, ratio=10.0, attack_ms=ms, release_ms=100.0) for ms in (2.0, 40.0)
    )
    reached = [int(np.argmax(out < 0.4)) for out in (fast, slow)]
    assert reached[1] / max(reached[0], 1) == pytest.approx(20, rel=0.15)


def test_overdrive_is_highpass_tanh_lowpass_gain() -> None:
    """First-order filters by the bilinear transform."""
    sound = sine(330, 0.5, 0.8) + sine(55, 0.5, 0.2)
    out = render("overdrive", sound, drive_db=18.0, bass_cut_hz=300.0, tone_hz=2500.0, level_db=-6.0)
    highpass = scipy.signal.butter(1, 300, "high", fs=RATE)
    lowpass = scipy.signal.butter(1, 2500, "low", fs=RATE)
    expected = np.tanh(10 ** (18 / 20) * scipy.signal.lfilter(*highpass, sound[0].astype(np.float64)))
    assert np.allclose(out, 10 ** (-6 / 20) * scipy.signal.lfilter(*lowpass, expected), atol=1e-3)


def decay_seconds(response: np.ndarray) -> float:
    """Reverberation time by Schroeder's backward integration, -5 to -25 dB."""
    energy = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2) + 1e-30)
    first, last = int(np.argmax(energy < -5)), int(np.argmax(energy < -25))
    return 3 * (last - first) / RATE


@pytest.mark.parametrize("room_size", [0.2, 0.5, 0.8])
def test_reverb_decays_as_freeverbs_combs_do(room_size: float) -> None:
    """Comb feedback is 0.7 + 0.28 room_size; with a mean loop of 1370 samples the decay follows."""
    out = render("reverb", impulse(4.0), room_size=room_size, damping=0.0, wet_level=0.5, dry_level=0.0)
    feedback = 0.7 + 0.28 * room_size
    assert decay_seconds(out) == pytest.approx(-3 * (1370 / 44_100) / np.log10(feedback), rel=0.15)


def test_reverb_levels_and_damping() -> None:
    dry = render("reverb", impulse(), room_size=0.5, damping=0.5, wet_level=0.0, dry_level=0.3)
    assert dry[0] == pytest.approx(0.6, abs=1e-3)  # JUCE doubles the dry level
    assert np.abs(dry[10:]).max() < 1e-4
    soft, loud = (
        render("reverb", impulse(), room_size=0.5, damping=0.5, wet_level=level, dry_level=0.0) for level in (0.2, 0.6)
    )
    assert np.allclose(3 * soft, loud, atol=1e-4)
    bright, dark = (
        render("reverb", impulse(2.0), room_size=0.8, damping=d, wet_level=0.5, dry_level=0.0)[RATE // 4 :]
        for d in (0.0, 1.0)
    )
    centroid = [
        float((np.fft.rfftfreq(len(x), 1 / RATE) * np.abs(np.fft.rfft(x))).sum() / np.abs(np.fft.rfft(x)).sum())
        for x in (bright, dark)
    ]
    assert centroid[1] < 0.7 * centroid[0]
