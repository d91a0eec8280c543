"""Piano notes: sampled and played ones at the right pitch, and one pitch class for testing only."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from tests.fixtures.salamander import make
from timbre_data.pipeline.catalogue.source import DrySource
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


def test_a_soundfont_has_the_noise_floor_of_a_recording() -> None:
    """Before a note is brought to a peak of 1: as far below it in a soft note as that note is below a loud one."""
    noisy, clean = (PianoNotes(PianoNotesSettings(noise_db=level)) for level in (-60.0, None))
    found = {}
    for index, note in enumerate(noisy.notes):
        if note.identity.endswith(("key060/layer02", "key060/layer16")):
            a, b = (source.render(index, 16_000, 1, 12_000)[0].astype(float) for source in (noisy, clean))
            gain = (a @ b) / (b @ b)
            found[note.velocity] = 20 * np.log10((a - gain * b).std() / gain)
    soft, loud = found[2 / 16], found[1.0]
    assert np.array_equal(noisy.render(5, 16_000, 1, 12_000), noisy.render(5, 16_000, 1, 12_000))
    peaks = [float(np.abs(clean._played(60, layer, 16_000, 12_000).mean(axis=0)).max()) for layer in (2, 16)]
    assert soft == pytest.approx(-60 - 20 * np.log10(peaks[0]), abs=0.5)
    assert loud == pytest.approx(-60 - 20 * np.log10(peaks[1]), abs=0.5)


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
