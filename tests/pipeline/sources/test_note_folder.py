"""Recorded notes: what names tell, which folders are used, pitches that librosa hears, and files that tell nothing."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from tests.fixtures.note_folder import KEYS, make
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.build.rendering import render
from timbre_data.pipeline.importers._note_names import note_of
from timbre_data.pipeline.importers.note_folder import NoteFolderSettings, scan
from timbre_data.pipeline.sources.note_folder import RecordedNotes, RecordedNotesSettings
from timbre_data.pipeline.store.columns import TAGS
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import SourceError, UsageError
from timbre_data.schemas.recipe import Recipe


@pytest.mark.parametrize(
    ("stem", "key", "velocity"),
    [
        ("A3", 57, None),
        ("As3", 58, None),
        ("A#3", 58, None),
        ("Bb3", 58, None),
        ("b2", 47, None),
        ("C-1", 0, None),
        ("D#4v8", 63, 8),
        ("cello_A3_mf", 57, 80),
        ("Piano.ff.C4", 60, 112),
        ("01 - C4", 60, None),
        ("060", 60, None),
        ("note60_vel90", 60, 90),
        ("060-100", 60, 100),
    ],
)
def test_names_tell_pitches(stem: str, key: int, velocity: float | None) -> None:
    note = note_of(stem)
    assert (note.midi_note, note.velocity) == (key, velocity)
    if velocity is None and not stem[0].isdigit():
        assert key == librosa.note_to_midi(stem[0].upper() + stem[1:].replace("s", "#"))


def test_another_middle_c() -> None:
    assert note_of("C3", middle_c=3).midi_note == 60


@pytest.mark.parametrize("stem", ["kick", "H3", "take 200", "G9x", "A11"])
def test_other_names_tell_none(stem: str) -> None:
    with pytest.raises(ValueError, match=r"tells no pitch|not within"):
        note_of(stem)


def test_notes_sound_at_the_pitch_that_they_tell(tmp_path: Path) -> None:
    make(tmp_path)
    source = RecordedNotes(RecordedNotesSettings(path=tmp_path, tags="instrument"))
    assert source.tags == ("cello", "flute", "organ")
    for index, note in enumerate(source.notes):
        assert KEYS[Path(note.identity).stem] == note.midi_note
        heard = librosa.yin(source.render(index, 22_050, 1, 20_000)[0][2000:], fmin=80, fmax=1000, sr=22_050)
        assert abs(12 * np.log2(np.median(heard) / note.f0_hz)) < 0.1


def test_chosen_and_left_out_instruments(tmp_path: Path) -> None:
    make(tmp_path)
    chosen = RecordedNotes(RecordedNotesSettings(path=tmp_path, instruments=("cello", "organ"), without=("organ",)))
    assert {note.identity.split("/")[0] for note in chosen.notes} == {"cello"}
    with pytest.raises(UsageError, match="it has cello, flute, organ"):
        scan(NoteFolderSettings(path=tmp_path, without=("harp",)))
    grouped = RecordedNotes(RecordedNotesSettings(path=tmp_path, group="instrument", rename={"cello": "violoncello"}))
    assert {note.group for note in grouped.notes} == {"violoncello", "flute", "organ"}


def test_an_import_has_instruments_as_tags(tmp_path: Path) -> None:
    make(tmp_path / "notes")
    settings = {"path": tmp_path / "notes", "rename": {"organ": "pipe_organ"}, "licence": "CC-BY-3.0"}
    import_dataset("note_folder", settings, locate("notes"), Cluster(workers=2))
    data = Dataset("notes")
    assert data.names(TAGS) == ["cello", "flute", "pipe_organ"]
    assert data.read(TAGS).sum(axis=1).tolist() == [1] * data.n
    assert data.recipe.licence == "CC-BY-3.0"
    assert np.isfinite(data.read("dry/f0_hz")).all()


def test_files_that_tell_nothing_are_named_and_can_be_left_out(tmp_path: Path) -> None:
    make(tmp_path / "notes")
    (tmp_path / "notes" / "flute" / "A4.wav").rename(tmp_path / "notes" / "flute" / "kick.wav")
    recipe = Recipe.model_validate(
        {"name": "x", "source": {"name": "note_folder", "path": tmp_path / "notes"}, "chain": ["delay"], "n": 8}
    )
    with pytest.raises(SourceError, match=r"flute/kick\.wav.*tells no pitch"):
        render(recipe, locate("x"), Cluster(workers=1))
    report = render(recipe, locate("x"), Cluster(workers=1), keep_going=True)
    assert any("kick" in one for one in report.failed)
    assert Dataset("x").n == 8


def test_an_sfz_file_says_what_samples_are(tmp_path: Path) -> None:
    make(tmp_path)
    text = "<region> sample=A4.wav key=50\n<region> sample=As4.wav pitch_keycenter=51 lokey=51 hikey=52 hivel=70\n"
    (tmp_path / "flute" / "x.sfz").write_text(text, encoding="utf-8")
    inventory = scan(NoteFolderSettings(path=tmp_path, instruments=("flute",)))
    assert [origin.midi_note for origin in inventory.origins] == [50, 51]
    assert [one.labels["velocity"] for one in inventory.recordings] == [127, 70]
