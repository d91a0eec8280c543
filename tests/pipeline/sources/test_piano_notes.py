"""Piano notes: sampled and played ones at the right pitch, and one pitch class for testing only."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from tests.fixtures.salamander import make
from timbre_data.pipeline.kinds import DrySource
from timbre_data.pipeline.sources.piano_notes import PianoNotes, PianoNotesSettings
from timbre_data.schemas.errors import NotFoundError, UsageError


def right_pitches(source: DrySource, chosen: list[int]) -> None:
    for index in chosen:
        sound = source.render(index, 16_000, 1, 12_000)[0]
        heard = librosa.yin(sound[2000:], fmin=100, fmax=1000, sr=16_000)
        assert abs(12 * np.log2(np.median(heard) / source.notes[index].f0_hz)) < 0.2


def test_a_soundfont_plays_every_semitone_at_sixteen_velocities() -> None:
    source = PianoNotes(PianoNotesSettings())
    assert len(source.notes) == 88 * 16
    for note in source.notes:
        assert (note.split == "test") == (int(note.midi_note) % 12 == 11)
    splits = [note.split for note in source.notes]
    assert 0.05 < splits.count("test") / len(splits) < 0.1
    assert 0 < splits.count("validation") / len(splits) < 0.12
    right_pitches(
        source,
        [
            index
            for index, note in enumerate(source.notes)
            if note.identity.endswith(("key060/layer16", "key071/layer08"))
        ],
    )


def test_samples_are_shifted_to_every_semitone(tmp_path: Path) -> None:
    make(tmp_path)
    source = PianoNotes(PianoNotesSettings(path=tmp_path))
    keys = {int(note.midi_note) for note in source.notes}
    assert keys == {20, 21, 22, 23, 24, 25, 62, 63, 64, 65, 66, 67} - {20}
    assert len(source.notes) == 3 * len(keys)
    right_pitches(source, [index for index, note in enumerate(source.notes) if note.midi_note > 60])


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(UsageError, match="no notes between"):
        PianoNotes(PianoNotesSettings(path=tmp_path, keys=(100, 101)))
    with pytest.raises(UsageError, match=r"within 0-127"):
        PianoNotes(PianoNotesSettings(keys=(90, 60)))
    with pytest.raises(NotFoundError):
        PianoNotes(PianoNotesSettings(path=tmp_path / "nowhere"))
