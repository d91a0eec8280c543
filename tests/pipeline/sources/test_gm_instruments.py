"""Phrases of General MIDI instruments: who is heard where, and varispeed, which moves formants and not pitches."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
from mido import Message

from timbre_data.pipeline.sources._fluidsynth import find_soundfont, play
from timbre_data.pipeline.sources._phrases import INSTRUMENTS
from timbre_data.pipeline.sources.gm_instruments import GmInstruments, GmInstrumentsSettings
from timbre_data.schemas.errors import UsageError

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


def test_the_four_classes_are_heard_alike_often_and_drums_are_drums() -> None:
    four = GmInstruments(GmInstrumentsSettings(phrases=80, classes="four"))
    assert four.tags == ("piano", "drums", "flute", "other")
    counts = {tag: [k for k, note in enumerate(four.notes) if note.tags == (tag,)] for tag in four.tags}
    assert {len(each) for each in counts.values()} == {20}
    assert len({four.notes[k].identity.partition("/")[2].partition(":")[0] for k in counts["other"]}) > 4
    flat = {}
    for tag in ("drums", "flute"):
        sounds = [four.render(k, RATE, 1, RATE)[0] for k in counts[tag][:6]]
        flat[tag] = np.median([librosa.feature.spectral_flatness(y=sound).mean() for sound in sounds])
    assert flat["drums"] > 3 * flat["flute"]


@pytest.fixture(scope="module")
def further(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SoundFont of this machine under another name."""
    copy = tmp_path_factory.mktemp("soundfonts") / "further.sf2"
    copy.symlink_to(find_soundfont(None))
    return copy


def test_training_soundfonts_are_heard_in_training_only(further: Path) -> None:
    plain = GmInstruments(GmInstrumentsSettings(phrases=300)).notes
    notes = GmInstruments(GmInstrumentsSettings(phrases=300, training_soundfonts=(further,))).notes
    heard = {note.split for note in notes if ":further:" in note.identity}
    assert heard == {"train"}
    assert [note for note in notes if note.split != "train"] == [note for note in plain if note.split != "train"]


def test_layered_phrases_are_of_training_and_of_one_instrument() -> None:
    settings = GmInstrumentsSettings(phrases=300, varispeed=0)
    plain, layered = GmInstruments(settings), GmInstruments(settings.model_copy(update={"layered": 0.5}))
    two = [k for k, note in enumerate(layered.notes) if "&" in note.identity]
    training = [k for k, note in enumerate(layered.notes) if note.split == "train"]
    assert set(two) < set(training)
    assert 0.14 < len(two) / len(training) < 0.32  # half of those five instruments that have two programs for training
    assert [note.tags for note in layered.notes] == [note.tags for note in plain.notes]
    kept = {note.group for note in plain.notes if note.split == "test"}
    for k in two:
        first, second = layered.notes[k].identity.partition("/")[2].split("&")
        assert first != second
        assert not {first, f"{first.partition(':')[0]}:{second}"} & kept
        assert int(second.rpartition(":")[2]) in INSTRUMENTS[layered.notes[k].tags[0]].programs
    for k in (two[0], *[k for k in training if k not in two][:3]):
        same = np.array_equal(plain.render(k, RATE, 1, 16_000), layered.render(k, RATE, 1, 16_000))
        assert same == (k not in two)


def test_a_layer_is_softer_than_the_first_program_and_plays_its_notes() -> None:
    """The plain phrase, taken out of the layered one, leaves less than there was of it; both begin together."""
    settings = GmInstrumentsSettings(phrases=300, varispeed=0)
    plain, layered = GmInstruments(settings), GmInstruments(settings.model_copy(update={"layered": 1.0}))
    k = next(k for k, note in enumerate(layered.notes) if note.tags == ("organ",) and "&" in note.identity)
    alone, both = (source.render(k, RATE, 1, RATE)[0] for source in (plain, layered))
    begins = [int(np.argmax(np.abs(sound) > 0.05)) for sound in (alone, both)]
    assert abs(begins[0] - begins[1]) < 0.03 * RATE
    assert np.corrcoef(alone, both)[0, 1] > 0.4


def test_two_soundfonts_of_one_name_are_refused(further: Path) -> None:
    with pytest.raises(UsageError, match="same file name"):
        GmInstruments(GmInstrumentsSettings(phrases=11, soundfonts=(further,), training_soundfonts=(further,)))
