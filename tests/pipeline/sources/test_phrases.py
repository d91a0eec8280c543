"""Phrases that are heard: a tag may not stand for an instrument that stays silent."""

from __future__ import annotations

import numpy as np
import pytest
from mido import Message

from timbre_data.pipeline.sources._fluidsynth import find_soundfont, play
from timbre_data.pipeline.sources._phrases import SILENT, Events, audible_phrase
from timbre_data.pipeline.sources.gm_tags import BAND
from timbre_data.schemas.errors import UnusableSoundError

RATE = 22_050


def test_a_silent_phrase_is_drawn_again() -> None:
    drawn: list[Events] = []

    def draw() -> Events:
        drawn.append([(float(len(drawn)), None)])
        return drawn[-1]

    events, sound = audible_phrase(draw, lambda events: np.full((2, 4), 0.5 if events[0][0] == 3 else 0.0, np.float32))
    assert len(drawn) == 4
    assert events is drawn[3]
    assert sound.max() == 0.5


def test_a_program_that_is_never_heard_is_an_error() -> None:
    with pytest.raises(UnusableSoundError, match="does not have this program"):
        audible_phrase(list, lambda _: np.zeros((2, 4), np.float32))


@pytest.mark.parametrize("name", BAND)
def test_every_player_of_the_band_is_heard_over_its_range(name: str) -> None:
    player = BAND[name]
    for program in player.programs:
        for key in (player.low, (player.low + player.high) // 2, player.high):
            events = [(0.0, Message("note_on", note=key, velocity=90))]
            sound = play(find_soundfont(None), [(0, 0, program)], events, RATE, RATE // 10)
            assert np.abs(sound).max() > SILENT, (program, key)
