"""Drawn strings, General MIDI notes and mixtures: the pitches that they say, variety, and what is left out."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest

from timbre_data.pipeline.sources import SOURCES
from timbre_data.schemas.errors import RecipeError


def opened(name: str, **settings: Any) -> Any:
    kind = SOURCES.load(name)
    return kind.open(kind.settings.model_validate(settings))


@pytest.mark.parametrize(("name", "share"), [("drawn_strings", 0.9), ("gm_notes", 0.7)])
def test_notes_sound_at_their_pitch(name: str, share: float) -> None:
    """By librosa's YIN; a few sounds have another one for it (organs an octave higher, bells, detuned pairs)."""
    source = opened(name, count=60, keys=[45, 76])
    right = []
    for index, note in enumerate(source.notes):
        sound = source.render(index, 22_050, 1, 16_000)[0]
        assert np.isfinite(sound).all()
        heard = np.median(librosa.yin(sound[3000:], fmin=80, fmax=1400, sr=22_050))
        cents = 1200 * np.log2(heard / note.f0_hz)
        right.append(abs(cents - 1200 * round(cents / 1200)) < 40)
    assert np.mean(right) >= share


def test_strings_differ_far_beyond_a_guitar() -> None:
    """Brightness and decay of drawn strings spread further than those of the plucked guitar."""

    def spread(source: Any) -> tuple[float, float]:
        chosen = np.linspace(0, len(source.notes) - 1, 60).astype(int)
        sounds = [source.render(int(k), 22_050, 1, 22_050)[0] for k in chosen]
        brightness = [np.log2(librosa.feature.spectral_centroid(y=one, sr=22_050).mean()) for one in sounds]
        decay = [20 * np.log10(one[15_000:].std() / one[:5000].std() + 1e-6) for one in sounds]
        return float(np.std(brightness)), float(np.std(decay))

    drawn, guitar = spread(opened("drawn_strings", count=600)), spread(opened("plucked_string"))
    assert drawn[0] > guitar[0]
    assert drawn[1] > guitar[1]


def test_every_drawn_string_is_finite() -> None:
    source = opened("drawn_strings", count=400)
    for index in range(400):
        assert np.isfinite(source.render(index, 22_050, 1, 33_075)).all()


def test_a_rate_too_low_for_a_note_is_said() -> None:
    source = opened("drawn_strings", count=5, keys=[88, 88])
    with pytest.raises(RecipeError, match="needs at least"):
        source.render(0, 8000, 1, 4000)


def test_a_mixture_has_the_sounds_of_its_sources() -> None:
    mixed = opened("mixed", sources=[{"name": "drawn_strings", "count": 7}, "plucked_string"], most=5)
    strings = opened("drawn_strings", count=7)
    assert len(mixed.notes) == 10
    assert np.array_equal(mixed.render(4, 22_050, 1, 4000), strings.render(6, 22_050, 1, 4000))
    fewer = opened(
        "mixed",
        sources=[{"name": "drawn_strings", "count": 7}, "plucked_string"],
        most=5,
        leave_out=[mixed.notes[0].identity],
    )
    assert [note.identity for note in fewer.notes] == [note.identity for note in mixed.notes[1:]]
    assert np.array_equal(fewer.render(3, 22_050, 1, 4000), mixed.render(4, 22_050, 1, 4000))
