"""The second generator of effects: each label against SciPy or a formula."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.sound.analogue import delay_line, low_pass, one_pole, phase_shift, triangle
from timbre_data.schemas.arrays import Audio

RATE = 22_050


def impulse(seconds: float = 1.5, size: float = 1.0) -> Audio:
    sound = np.zeros((1, int(seconds * RATE)), np.float32)
    sound[0, 0] = size
    return sound


def sine(hz: float, seconds: float = 1.5) -> Audio:
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)[None]


def render(name: str, sound: Audio, **values: float) -> np.ndarray:
    return EFFECTS.load(name).render(sound, RATE, values)[0].astype(np.float64)


def test_the_triangle_is_scipys() -> None:
    expected = scipy.signal.sawtooth(2 * np.pi * (3.0 * np.arange(RATE) / RATE + 0.75), width=0.5)
    assert np.allclose(triangle(3.0, RATE, RATE), expected, atol=1e-9)


def test_the_low_pass_is_scipys() -> None:
    sound = np.random.default_rng(0).standard_normal((2, 4000))
    a = one_pole(1000, RATE)
    assert np.allclose(low_pass(sound, 1000, RATE), scipy.signal.lfilter([a], [1, a - 1], sound), atol=1e-12)
    _, response = scipy.signal.freqz([a], [1, a - 1], [1000], fs=RATE)
    assert 20 * np.log10(abs(response[0])) == pytest.approx(-3, abs=0.4)


def test_the_delay_line_delays_and_feeds_back() -> None:
    sound = impulse(0.2)
    out = delay_line(sound, np.full(sound.shape[1], 100.0), feedback=0.5)[0]
    expected = np.zeros_like(out)
    expected[100::100] = 0.5 ** np.arange(len(expected[100::100]))
    assert np.allclose(out, expected, atol=1e-12)
    between = delay_line(sound, np.full(sound.shape[1], 100.25))[0]
    assert between[100:102] == pytest.approx([0.75, 0.25])


def test_all_passes_keep_every_frequency_as_loud_as_it_was() -> None:
    sound = impulse(0.5)
    out = phase_shift(sound, np.full(sound.shape[1], 800.0), RATE, stages=4, feedback=0.0)[0]
    assert np.allclose(np.abs(np.fft.rfft(out)), 1, atol=1e-3)
    phase = np.angle(np.fft.rfft(out)[round(800 * 0.5)])
    assert abs(phase) < 0.05  # four times 90 degrees at the corner


@pytest.mark.parametrize("seconds", [0.16, 0.4])
def test_the_tape_echo_comes_when_and_as_loud_as_labelled(seconds: float) -> None:
    out = render("tape_echo", impulse(size=0.01), delay_seconds=seconds, feedback=0.5, tone_hz=5000, level=0.8)
    echoes = [np.abs(out[int((k * seconds - 0.02) * RATE) : int((k * seconds + 0.03) * RATE)]) for k in (1, 2)]
    at = np.argmax(echoes[0]) / RATE + seconds - 0.02
    assert at == pytest.approx(seconds, abs=0.002)
    assert echoes[0].sum() == pytest.approx(0.01 * 0.8, rel=0.05)
    assert echoes[1].sum() == pytest.approx(0.5 * 0.01 * 0.8, rel=0.1)


def test_the_tape_slapback_is_one_echo() -> None:
    out = render("tape_slapback", impulse(size=0.01), delay_seconds=0.1, tone_hz=4000, level=0.6)
    assert np.argmax(np.abs(out[100:])) + 100 == pytest.approx(0.1 * RATE, abs=3)
    assert np.abs(out[100:]).sum() == pytest.approx(0.006, rel=0.02)


@pytest.mark.parametrize("seconds", [0.7, 1.5])
def test_the_hall_decays_as_labelled(seconds: float) -> None:
    out = render("hall_reverb", impulse(2.0), decay_seconds=seconds, predelay_ms=20, tone_hz=8000, mix=0.5)
    tail = out[int(0.02 * RATE) :]
    decay = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / (tail**2).sum())
    a, b = (int(np.argmax(decay < level)) for level in (-5, -25))
    assert 3 * (b - a) / RATE == pytest.approx(seconds, rel=0.1)
    assert (out[1 : int(0.019 * RATE)] == 0).all()


def test_the_optical_tremolo_is_its_formula() -> None:
    out = render("analogue_tremolo", np.ones((1, RATE), np.float32), rate_hz=4, depth=0.7, shape=2, phase=0.25)
    swell = 0.5 + 0.5 * scipy.signal.sawtooth(2 * np.pi * (4 * np.arange(RATE) / RATE), width=0.5)
    assert np.allclose(out, 1 - 0.7 * swell**2, atol=1e-6)


def test_the_fuzz_is_its_formula() -> None:
    sound, a = sine(220), one_pole(4000, RATE)
    clipped = np.clip(10 ** (30 / 20) * sound[0].astype(np.float64), -0.7, 1)
    out = render("fuzz", sound, drive_db=30, asymmetry=0.3, tone_hz=4000)
    assert np.allclose(out, scipy.signal.lfilter([a], [1, a - 1], clipped), atol=1e-5)


def test_the_valve_overdrive_is_its_formula_and_has_even_harmonics() -> None:
    sound, a = sine(220), one_pole(6000, RATE)
    driven = 10 ** (12 / 20) * sound[0].astype(np.float64) + 0.5
    shaped = driven / (1 + np.abs(driven)) - 0.5 / 1.5
    out = render("tube_overdrive", sound, drive_db=12, bias=0.5, tone_hz=6000)
    assert np.allclose(out, scipy.signal.lfilter([a], [1, a - 1], shaped), atol=1e-5)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    second = spectrum[round(440 * 1.5)]
    assert second > 0.02 * spectrum[round(220 * 1.5)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("analogue_vibrato", {"rate_hz": 5.0, "depth_ms": 1.0}),
        ("analogue_chorus", {"rate_hz": 2.0, "depth_ms": 2.0, "centre_delay_ms": 15.0, "mix": 0.7}),
        ("analogue_flanger", {"rate_hz": 2.0, "shortest_ms": 1.0, "depth_ms": 2.0, "feedback": 0.3, "mix": 0.6}),
        ("analogue_phaser", {"rate_hz": 4.0, "octaves": 3.0, "centre_hz": 800.0, "feedback": 0.4}),
    ],
)
def test_modulations_move_at_the_labelled_rate(name: str, values: dict[str, float]) -> None:
    """Amplitude and phase of a steady tone repeat with the oscillator and not faster than it."""
    out = render(name, sine(700, 4.0), **values)
    analytic = scipy.signal.hilbert(out) * np.exp(-2j * np.pi * 700 * np.arange(len(out)) / RATE)
    envelope = analytic[RATE:] - analytic[RATE:].mean()
    period = round(RATE / values["rate_hz"])

    def alike(lag: int) -> float:
        return float(
            np.abs(np.vdot(envelope[lag:], envelope[:-lag]))
            / (np.linalg.norm(envelope[lag:]) * np.linalg.norm(envelope[:-lag]))
        )

    assert alike(period) > 0.98
    assert alike(round(0.73 * period)) < 0.9
