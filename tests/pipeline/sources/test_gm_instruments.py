"""Phrases of General MIDI instruments: who is heard where, and varispeed, which moves formants and not pitches."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from mido import Message

from timbre_data.pipeline.sources._fluidsynth import find_soundfont, play
from timbre_data.pipeline.sources.gm_instruments import GmInstruments, GmInstrumentsSettings

RATE = 22_050
KEYS = (57, 69)


def scale(semitones: int, program: int = 73, rate: int = RATE) -> np.ndarray:
    """A fifth of a second of silence, then two notes of a second each."""
    events = []
    for k, key in enumerate(KEYS):
        events += [(0.2 + k, Message("note_on", note=key, velocity=90)), (1.2 + k, Message("note_off", note=key))]
    return play(find_soundfont(None), [(0, 0, program)], events, rate, round(2.2 * rate), semitones=semitones).mean(0)


def centroid(sound: np.ndarray) -> float:
    return float(np.median(librosa.feature.spectral_centroid(y=sound, sr=RATE)))


@pytest.mark.parametrize("semitones", [-4, 3])
def test_varispeed_keeps_pitches_and_times(semitones: int) -> None:
    plain, moved = scale(0), scale(semitones)
    assert not np.array_equal(plain, moved)
    for k, key in enumerate(KEYS):
        middle = slice(round((0.6 + k) * RATE), round((1.1 + k) * RATE))
        heard = librosa.yin(moved[middle], fmin=100, fmax=900, sr=RATE)
        assert abs(12 * np.log2(np.median(heard) / librosa.midi_to_hz(key))) < 0.3
    begins = [np.argmax(np.abs(sound) > 0.01 * np.abs(sound).max()) / RATE for sound in (plain, moved)]
    assert all(0.2 <= begin < 0.26 for begin in begins)


def test_varispeed_moves_the_spectrum() -> None:
    """A horn's formants, at three speeds."""
    low, plain, high = (centroid(scale(semitones, program=60)) for semitones in (-4, 0, 4))
    assert low < plain < high


@pytest.mark.parametrize(("rate", "semitones"), [(8_000, 4), (96_000, -4)])
def test_varispeed_is_left_out_where_the_synthesiser_cannot(rate: int, semitones: int) -> None:
    assert np.array_equal(scale(semitones, rate=rate), scale(0, rate=rate))


def test_only_training_phrases_are_played_at_other_speeds() -> None:
    plain, varied = (GmInstruments(GmInstrumentsSettings(phrases=60, varispeed=k)) for k in (0, 4))
    assert plain.notes == varied.notes
    for split in ("train", "validation", "test"):
        chosen = [k for k, note in enumerate(plain.notes) if note.split == split][:8]
        same = [np.array_equal(plain.render(k, RATE, 1, 8_000), varied.render(k, RATE, 1, 8_000)) for k in chosen]
        assert all(same) == (split != "train")


def test_held_out_programs_are_heard_in_testing_only() -> None:
    notes = GmInstruments(GmInstrumentsSettings(phrases=300)).notes
    heard = {split: {note.group for note in notes if note.split == split} for split in ("train", "validation", "test")}
    programs = {group for group in heard["test"] if group.count(":") == 2}
    assert programs
    assert not programs & (heard["train"] | heard["validation"])
