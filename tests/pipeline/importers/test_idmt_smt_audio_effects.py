"""What is particular to IDMT-SMT-Audio-Effects: its code, its lists, its problems, and mirdata's reading of the same
tree.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mirdata
import numpy as np
import pytest
import soundfile
import soxr

from tests.fixtures.idmt_smt_audio_effects import make
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.build.rendering import render
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.importers.idmt_smt_audio_effects import EFFECTS, IdmtSettings, scan
from timbre_data.pipeline.sources import SOURCES
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    make(tmp_path / "idmt")
    scan.cache_clear()
    return tmp_path / "idmt"


def problems(tree: Path) -> dict[str, str]:
    scan.cache_clear()
    return scan(IdmtSettings(path=tree)).problems


@pytest.mark.slow  # imports mirdata, which imports librosa and downloads nothing
def test_labels_are_those_that_mirdata_reads(tree: Path) -> None:
    import_dataset("idmt_smt_audio_effects", {"path": tree}, locate("idmt"), Cluster(workers=2))
    data = Dataset("idmt")
    files = data.read("labels/file")
    index = {"version": "1.0", "tracks": {Path(file).stem: {"audio": [file, ""]} for file in files}}
    (tree / "index.json").write_text(json.dumps(index))
    theirs = mirdata.initialize("idmt_smt_audio_effects", data_home=str(tree))
    theirs.index_path = str(tree / "index.json")
    steps = data.names("labels/order", "steps")
    effect = (data.read("labels/order") >= 0).argmax(axis=1)
    notes = data.read("dry/note")[data.read("dry/index").astype(int)]
    tracks = theirs.load_tracks()
    assert len(tracks) == len(files)
    for row, file in enumerate(files):
        track = tracks[Path(file).stem]
        assert track.instrument == data.read("labels/instrument", row)
        assert track.midi_nr == notes[row]
        assert track.fx_setting == data.read("labels/fx_setting", row)
        assert EFFECTS[track.fx_type][1] == steps[effect[row]]
        sound, rate = track.audio
        assert alike(soxr.resample(sound, rate, 22_050)[10_000:20_000], data.audio(row)[0, 400:8400]) > 0.99


def alike(theirs: np.ndarray, ours: np.ndarray) -> float:
    """Largest correlation of ours with any equally long part of theirs."""
    parts = np.lib.stride_tricks.sliding_window_view(theirs, len(ours))
    norms = np.linalg.norm(parts, axis=1) * np.linalg.norm(ours)
    return float((parts @ ours / np.maximum(norms, 1e-9)).max())


def test_sounds_begin_at_their_onset(tree: Path) -> None:
    import_dataset("idmt_smt_audio_effects", {"path": tree}, locate("idmt"), Cluster(workers=2))
    for sound in Dataset("idmt").audio()[:, 0]:
        loud = np.flatnonzero(np.abs(sound) > 0.1)
        assert loud[0] < 0.05 * 22_050


def test_equalised_notes_are_dry_or_left_out(tree: Path) -> None:
    taken, skipped = (scan(IdmtSettings(path=tree, equalised=choice)) for choice in ("dry", "skip"))
    assert sum(one.step == "dry" for one in taken.recordings) == 27
    assert sum(one.step == "dry" for one in skipped.recordings) == 9
    only = scan(IdmtSettings(path=tree, parts=("bass",)))
    assert {one.labels["instrument"] for one in only.recordings} == {"B"}


def test_every_problem_is_named(tree: Path) -> None:
    assert problems(tree) == {}
    chorus = tree / "Gitarre monophon" / "Samples" / "Chorus"
    first, second, third, *_ = sorted(chorus.iterdir())
    first.unlink()
    second.rename(chorus / "take one.wav")
    shutil.move(third, tree / "Gitarre monophon" / "Samples" / "NoFX" / third.name)
    (chorus / "notes.txt").write_text("x")
    (chorus / ".DS_Store").write_text("x")
    soundfile.write(chorus / "G61-40100-3311-77777.wav", np.zeros(100), 44_100)
    clean = sorted((tree / "Bass monophon" / "Samples" / "NoFX").iterdir())[0]
    shutil.copy(clean, chorus / "B11-28100-9991-1.wav")
    broken = tree / "Bass monophon" / "Lists" / "EQ" / "EQ.xml"
    broken.write_text("<list>")
    found = problems(tree)
    where = "Gitarre monophon/Samples"
    assert found[f"{where}/{first.name}"].startswith("missing: Gitarre monophon/Lists/Chorus/Chorus.xml lists it")
    assert "does not follow the code" in found[f"{where}/Chorus/take one.wav"]
    assert found[f"{where}/NoFX/{third.name}"] == "unexpected: lies in NoFX, its name says Chorus"
    assert found[f"{where}/Chorus/notes.txt"] == "unexpected: not a WAV file"
    assert found[f"{where}/Chorus/G61-40100-3311-77777.wav"] == "unexpected: no list has it"
    assert found[f"{where}/Chorus/B11-28100-9991-1.wav"] == "unexpected: there is no effect 99"
    assert "not an XML list" in found["Bass monophon/Lists/EQ/EQ.xml"]


def test_a_list_that_contradicts_a_name_is_a_problem(tree: Path) -> None:
    path = tree / "Gitarre polyphon" / "Lists" / "Distortion" / "Distortion.xml"
    path.write_text(path.read_text().replace("<midinr>45</midinr>", "<midinr>46</midinr>"))
    found = problems(tree)
    assert len(found) == 2
    assert all("says midinr 46, its name 45" in reason for reason in found.values())


def test_clean_notes_are_a_source(tree: Path) -> None:
    source = SOURCES.load("idmt_smt_audio_effects")
    notes = source.open(source.settings(path=tree, parts=("guitar",))).notes
    assert [note.identity for note in notes] == ["G61-40100", "G61-45201", "G62-50300", "G63-52302", "G71-55400"]
    assert notes[0].f0_hz == pytest.approx(82.41, abs=0.01)
    recipe = recipes.load(
        validation.override(
            recipes.for_effect("delay"),
            {"n": 10, "source": {"name": "idmt_smt_audio_effects", "path": str(tree)}},
        )
    )
    render(recipe, locate("d"), Cluster(workers=2))
    assert verify(Dataset("d")).whole
    assert set(Dataset("d").read("dry/identity")) <= {
        origin.identity for origin in scan(IdmtSettings(path=tree)).origins
    }
