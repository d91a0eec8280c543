from __future__ import annotations

import numpy as np
import pytest

from timbre_data.pipeline.sources.plucked_string import GUITAR_STRINGS, SOURCE, PluckedString, PluckedStringSettings
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import RecipeError

RATE = 22_050


@pytest.fixture(scope="module")
def guitar() -> PluckedString:
    return PluckedString(PluckedStringSettings())


def find(guitar: PluckedString, *words: str) -> int:
    return next(i for i, note in enumerate(guitar.notes) if all(word in note.identity.split("/") for word in words))


def frequency(sound: Audio, near_hz: float, rate: int = RATE) -> float:
    """Frequency of the partial near `near_hz` by the phase slope of its demodulated signal: resolves hundredths of a
    cent.
    """
    n = np.arange(len(sound))
    turned = sound * np.exp(-2j * np.pi * near_hz * n / rate)
    window = np.hanning(8192)
    phase = np.unwrap([np.angle(np.sum(turned[k : k + 8192] * window)) for k in range(2048, len(sound) - 8192, 1024)])
    return near_hz + float(np.polyfit(np.arange(len(phase)) * 1024 / rate, phase, 1)[0]) / (2 * np.pi)


def test_there_are_1872_different_guitar_notes(guitar: PluckedString) -> None:
    assert len(guitar.notes) == 78 * 24 == 1872
    sounds = {guitar.render(i, RATE, 1, 2000).tobytes() for i in range(1872)}
    assert len(sounds) == 1872


@pytest.mark.parametrize("instrument", ["guitar", "bass"])
def test_notes_are_in_tune_within_two_cents(instrument: str) -> None:
    source = SOURCE.open(SOURCE.settings.model_validate({"instrument": instrument}))
    for i in range(0, len(source.notes), 13):
        note = source.notes[i]
        measured = frequency(source.render(i, RATE, 1, 2 * RATE)[0], note.f0_hz)
        assert abs(1200 * np.log2(measured / note.f0_hz)) < 2, note.identity


@pytest.mark.parametrize("string", [1, 4, 6])
def test_partials_are_stretched_as_a_stiff_strings_are(guitar: PluckedString, string: int) -> None:
    """f_k = k f_1 sqrt((1 + B k^2) / (1 + B)): the partial the dispersion is designed at, within two cents."""
    index = find(guitar, "single-coil", "bridge", "pick", f"string{string}", "fret00")
    f0, stiffness = guitar.notes[index].f0_hz, GUITAR_STRINGS[6 - string].inharmonicity
    k = int(2500 // f0)
    expected = k * f0 * np.sqrt((1 + stiffness * k**2) / (1 + stiffness))
    measured = frequency(guitar.render(index, RATE, 1, RATE)[0], expected)
    assert abs(1200 * np.log2(measured / expected)) < 2
    assert 1200 * np.log2(measured / (k * f0)) > 0.5 * 1200 * np.log2(expected / (k * f0))


def test_high_partials_die_before_low_ones(guitar: PluckedString) -> None:
    sound = guitar.render(find(guitar, "single-coil", "bridge", "pick", "string6", "fret00"), RATE, 1, int(1.5 * RATE))[
        0
    ]
    early, late = (np.abs(np.fft.rfft(sound[a : a + 4096] * np.hanning(4096))) ** 2 for a in (500, 25_000))
    hz = np.fft.rfftfreq(4096, 1 / RATE)
    low, high = (10 * np.log10(late[band].sum() / early[band].sum()) for band in (hz < 400, (hz > 2000) & (hz < 4000)))
    assert high < low - 15
    assert -20 < low < -0.5


def test_the_pick_position_leaves_out_its_partials(guitar: PluckedString) -> None:
    """Soft style plucks the open string at 0.30 of its length: partials near 1 / 0.30 and its multiples are weak."""
    index = find(guitar, "single-coil", "bridge", "hard", "string5", "fret00")
    f0 = guitar.notes[index].f0_hz
    sound = guitar.render(index, RATE, 1, RATE)[0]
    spectrum = np.abs(np.fft.rfft(sound[:16_384] * np.hanning(16_384)))
    level = [spectrum[round(k * f0 * 16_384 / RATE) - 4 : round(k * f0 * 16_384 / RATE) + 5].max() for k in range(1, 8)]
    assert level[4] < 0.2 * min(level[3], level[5])  # plucked at 1 / 5: the fifth is missing


def test_playing_harder_is_brighter(guitar: PluckedString) -> None:
    def centroid(style: str) -> float:
        sound = guitar.render(find(guitar, "humbucker", "neck", style, "string3", "fret05"), RATE, 1, 8192)[0]
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(8192)))
        return float((np.arange(len(spectrum)) * spectrum).sum() / spectrum.sum())

    assert centroid("soft") < centroid("hard") < centroid("pick")


def test_other_seeds_scrape_differently(guitar: PluckedString) -> None:
    other = PluckedString(PluckedStringSettings(seed=1))
    assert not np.array_equal(guitar.render(5, RATE, 1, 1000), other.render(5, RATE, 1, 1000))


def test_a_rate_that_cannot_hold_the_note_is_refused(guitar: PluckedString) -> None:
    with pytest.raises(RecipeError, match=r"audio\.rate"):
        guitar.render(find(guitar, "string1", "fret12"), 4000, 1, 4000)
