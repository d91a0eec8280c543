"""The subtractive synthesiser against what theory and SciPy say of its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.sound import voice
from timbre_data.pipeline.synths.subtractive import RANGES, SPACE, Subtractive
from timbre_data.schemas.arrays import Audio

RATE = 44_100
OPEN: dict[str, float] = {
    "cutoff": 18_000, "resonance": 0, "contour": 0, "amp_attack": 0.001, "amp_sustain": 1, "amp_release": 0.05,
    "osc1_on": 1, "osc1_volume": 1, "osc1_range": 3, "osc1_tuning": 0, "osc1_waveform": 2,
}  # fmt: skip


def play(seconds: float = 1.0, key: int = 69, held: float = 9.0, rate: int = RATE, **changes: float) -> Audio:
    low = {p.name: float(p.to_value(0.0)) for p in SPACE} | {f"osc{i}_tuning": 0.0 for i in (1, 2, 3)}
    patch = low | OPEN | changes
    return Subtractive(rate, 1).play([Performance.of(PlayedNote(0.0, held, key, 127))], [patch], round(seconds * rate))[
        0, 0
    ]


def spectrum(sound: Audio) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    window = signal.windows.blackmanharris(len(sound))
    return np.fft.rfftfreq(len(sound), 1 / RATE), np.abs(np.fft.rfft(sound * window)) / window.sum() * 2


def level_at(sound: Audio, frequency: float) -> float:
    frequencies, magnitude = spectrum(sound[4096 : 4096 + 32768])
    near = np.abs(frequencies - frequency) < 12
    return float(magnitude[near].max())


@pytest.mark.parametrize(
    ("waveform", "series"),
    [
        ("saw", lambda k: 2 / (np.pi * k)),
        ("reverse_saw", lambda k: 2 / (np.pi * k)),
        ("triangle", lambda k: 8 / (np.pi * k) ** 2 if k % 2 else 0),
        ("square", lambda k: 4 / (np.pi * k) if k % 2 else 0),
        ("wide_pulse", lambda k: abs(4 / (np.pi * k) * np.sin(np.pi * k * 0.29))),
        ("narrow_pulse", lambda k: abs(4 / (np.pi * k) * np.sin(np.pi * k * 0.17))),
    ],
)
def test_harmonics_have_the_levels_of_their_fourier_series(waveform: str, series: Any) -> None:
    table = voice.wave_table(waveform, 40)[:-1]
    found = np.abs(np.fft.rfft(table)) / len(table) * 2
    assert np.allclose(found[1:41], [series(k) for k in range(1, 41)], atol=1e-5)
    assert found[41:].max() < 1e-6


def test_a_saw_is_scipys_saw_where_it_is_smooth() -> None:
    table = voice.wave_table("saw", 2000)[:-1]
    phase = np.arange(len(table)) / len(table)
    middle = (phase > 0.1) & (phase < 0.9)
    falling = -signal.sawtooth(2 * np.pi * phase)
    assert np.abs(table + falling)[middle].max() < 5e-3 or np.abs(table - falling)[middle].max() < 5e-3


@pytest.mark.parametrize("key", [45, 69, 93, 105])
@pytest.mark.parametrize("waveform", range(6))
def test_aliases_stay_below_60_db(key: int, waveform: int) -> None:
    sound = play(key=key, osc1_waveform=waveform)[4096 : 4096 + 32768]
    frequencies, magnitude = spectrum(sound)
    fundamental = 440 * 2 ** ((key - 69) / 12)
    distance = np.abs(frequencies - np.rint(frequencies / fundamental) * fundamental)
    between = distance > 8
    assert 20 * np.log10(magnitude[between].max() / magnitude.max()) < -80


def test_ranges_are_octaves_and_tuning_is_semitones() -> None:
    for position, octave in enumerate((-5, -2, -1, 0, 1, 2)):
        if position == 0:
            continue
        frequency = 440.0 * 2**octave
        assert level_at(play(osc1_range=position), frequency) > 0.9 * 0.25 * 2 / np.pi
    assert level_at(play(osc1_tuning=7), 440 * 2 ** (7 / 12)) > 0.9 * 0.25 * 2 / np.pi
    assert len(RANGES) == 6


def impulse_response(cutoff: float, resonance: float) -> Audio:
    sound, out = np.zeros(16384, np.float32), np.zeros(16384, np.float32)
    sound[0] = 1
    ones = np.ones(16384, np.float32)
    voice.ladder(sound, ones * 0, ones, out, float(RATE), cutoff, 0.0, resonance)
    return out


@pytest.mark.parametrize("cutoff", [200.0, 1000.0, 5000.0])
def test_the_filter_is_four_bilinear_poles(cutoff: float) -> None:
    """Without resonance: SciPy's bilinear transform of (1 + s / w)^-4, pre-warped; 12 dB down at the cut-off, 24 dB an
    octave above.
    """
    poles = -2 * RATE * np.tan(np.pi * cutoff / RATE) * np.ones(4)
    b, a = signal.zpk2tf(*signal.bilinear_zpk([], poles, np.prod(-poles), RATE))
    response = np.fft.rfft(impulse_response(cutoff, 0.0))
    frequencies = np.fft.rfftfreq(16384, 1 / RATE)
    _, expected = signal.freqz(b, a, frequencies, fs=RATE)
    assert np.allclose(np.abs(response), np.abs(expected), atol=2e-3)
    level = 20 * np.log10(np.abs(response))
    at = np.interp([cutoff, 4 * cutoff, 8 * cutoff] if cutoff < 1000 else [cutoff], frequencies, level)
    assert at[0] == pytest.approx(-12.04, abs=0.1)
    if len(at) > 1:
        assert at[1] - at[2] == pytest.approx(24, abs=1.5)


def test_resonance_peaks_at_the_cutoff_and_in_the_end_sounds_by_itself() -> None:
    response = np.abs(np.fft.rfft(impulse_response(1000.0, 0.8)))
    frequencies = np.fft.rfftfreq(16384, 1 / RATE)
    assert abs(frequencies[response.argmax()] - 1000) < 60
    ringing = impulse_response(1000.0, 1.0)
    assert np.abs(ringing[-2000:]).max() > 0.05  # a third of a second later
    assert np.abs(ringing).max() < 3
    assert np.abs(impulse_response(1000.0, 0.9)[-2000:]).max() < 1e-3
    tone = np.abs(np.fft.rfft(ringing[-8192:] * np.hanning(8192)))
    assert abs(np.fft.rfftfreq(8192, 1 / RATE)[tone.argmax()] - 1000) < 30


def test_envelopes_take_the_times_they_are_given() -> None:
    out = np.empty(RATE * 3, np.float32)
    length = voice.envelope(out, float(RATE), 1.5 * RATE, np.array([0.2, 0.5, 0.4, 0.3]))
    assert out[round(0.1 * RATE)] == pytest.approx(0.5, abs=1e-3)
    assert out[: RATE // 2].argmax() == pytest.approx(0.2 * RATE, abs=2)
    assert out[round(0.7 * RATE)] - 0.4 == pytest.approx(0.6 / 1000, abs=1e-4)  # a thousandth is left after the decay
    assert out[round(1.8 * RATE)] == pytest.approx(0.4 / 1000, rel=0.05)
    assert 1.8 * RATE < length < 2.1 * RATE
    assert not out[length:].any()


def test_nothing_clicks() -> None:
    """No jump where a note begins, ends or is cut short: at most what the shortest decay, 5 ms to a thousandth, falls
    in one sample.
    """
    for attack, held in ((0.001, 0.3), (0.1, 0.3), (0.1, 0.05)):
        sound = play(0.8, key=45, held=held, osc1_waveform=0, cutoff=800, amp_attack=attack, amp_release=0.005)
        steady = np.abs(np.diff(play(0.8, key=45, osc1_waveform=0, cutoff=800)[6000:12000])).max()
        fastest = voice.FALL / (0.005 * RATE) * np.abs(sound).max()
        assert np.abs(np.diff(sound)).max() < steady + 1.1 * fastest


def test_the_contour_opens_the_filter_and_the_keyboard_moves_it() -> None:
    dull, bright = play(cutoff=300), play(cutoff=300, contour=0.5, filter_attack=0.001, filter_sustain=1)
    assert level_at(bright, 3080) > 10 * level_at(dull, 3080)
    tracked = [play(key=81, cutoff=300, keyboard_tracking=t) for t in range(4)]
    levels = [level_at(sound, 1760) for sound in tracked]
    assert levels == sorted(levels)


def test_noise_is_flat_or_falls_by_3_db_an_octave() -> None:
    for colour, slope in ((0, 0.0), (1, -3.0)):
        sound = play(4, osc1_on=0, noise_on=1, noise_volume=1, noise_colour=colour)
        frequencies, power = signal.welch(sound, RATE, nperseg=8192)
        bands = [
            10 * np.log10(power[(frequencies > f) & (frequencies < 2 * f)].mean()) for f in (125, 250, 500, 1000, 2000)
        ]
        assert np.polyfit(range(5), bands, 1)[0] == pytest.approx(slope, abs=0.5)
    assert np.array_equal(sound, play(4, osc1_on=0, noise_on=1, noise_volume=1, noise_colour=1))
    assert not np.array_equal(sound, play(4, osc1_on=0, noise_on=1, noise_volume=0.99, noise_colour=1))


def test_any_rate_gives_the_same_sound() -> None:
    """The same patch at 44.1 and 96 kHz: harmonics within 0.2 dB."""

    def level(sound: Audio, rate: int, frequency: float) -> float:
        part = sound[rate // 4 : rate // 4 + rate // 2]
        turning = np.exp(-2j * np.pi * frequency * np.arange(len(part)) / rate)
        return float(
            20 * np.log10(np.abs((part * turning * np.hanning(len(part))).sum()) / np.hanning(len(part)).sum())
        )

    coarse, fine = play(key=57, cutoff=2000), play(key=57, cutoff=2000, rate=96_000)
    for harmonic in (1, 2, 5, 10):
        assert level(coarse, 44_100, 220 * harmonic) == pytest.approx(level(fine, 96_000, 220 * harmonic), abs=0.2)
