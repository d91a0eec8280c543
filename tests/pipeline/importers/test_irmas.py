"""What is particular to IRMAS: its names, its labels, its division, and mirdata's reading of the same tree."""

from __future__ import annotations

import json
from pathlib import Path

import mirdata
import numpy as np
import pytest

from tests.fixtures.irmas import make
from timbre_data.models.data.classes import tag_classes
from timbre_data.models.data.rows import load_rows, some_rows
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.build.recordings import inventory_of
from timbre_data.pipeline.importers.irmas import CLASSES, IrmasSettings, scan
from timbre_data.pipeline.store.columns import TAGS
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import BuildError, UsageError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    make(tmp_path / "irmas")
    scan.cache_clear()
    return tmp_path / "irmas"


def test_labels_and_sounds_are_those_that_mirdata_reads(tree: Path) -> None:
    import_dataset("irmas", {"path": tree}, locate("irmas"), Cluster(workers=2), audio={"rate": 44_100})
    data = Dataset("irmas")
    files, starts, gains = data.read("labels/file"), data.read("labels/start_seconds"), data.read("gain")
    tracks = {}
    for number, file in enumerate(sorted(set(files))):
        training = file.startswith("IRMAS-Training")  # mirdata tells by the name of the track
        list_ = file if training else str(Path(file).with_suffix(".txt"))
        tracks[f"{number}__train" if training else str(number)] = {"audio": [file, ""], "annotation": [list_, ""]}
    (tree / "index.json").write_text(json.dumps({"version": "1.0", "tracks": tracks}))
    theirs = mirdata.initialize("irmas", data_home=str(tree))
    theirs.index_path = str(tree / "index.json")
    found = {track._track_paths["audio"][0]: track for track in theirs.load_tracks().values()}
    names = data.names(TAGS)
    for row, file in enumerate(files):
        ours = {names[i] for i in np.flatnonzero(data.read(TAGS, row))}
        assert ours == {CLASSES[code] for code in found[file].instrument}
        sound, rate = found[file].audio
        start = round(float(starts[row]) * rate)
        part = np.atleast_2d(sound).mean(axis=0)[start : start + 3 * rate] * float(gains[row])
        assert np.abs(part - data.audio(row)[0, : len(part)]).max() < 2e-4


def test_the_division_is_the_published_one(tree: Path) -> None:
    import_dataset("irmas", {"path": tree}, locate("irmas"), Cluster(workers=1))
    data = Dataset("irmas")
    testing = np.array([file.startswith("IRMAS-TestingData") for file in data.read("labels/file")])
    assert (data.split()[testing] == 2).all()
    assert (data.split()[~testing] < 2).all()
    songs = data.read("dry/group")[data.read("dry/index").astype(int)]
    first = [i for i, file in enumerate(data.read("labels/file")) if "[cel][cla]0019" in file]
    other = next(i for i, file in enumerate(data.read("labels/file")) if "[tru][jaz_blu]0019" in file)
    assert len({songs[i] for i in first}) == 1
    assert songs[other] != songs[first[0]]  # numbers of songs repeat over classes


@pytest.mark.parametrize(
    ("change", "file", "said"),
    [
        ("remove_list", "IRMAS-TestingData-Part1/Part1/01 - Allegro-3.wav", "missing: its list"),
        ("remove_sound", "IRMAS-TestingData-Part1/Part1/01 - Allegro-3.txt", "missing: 01 - Allegro-3.wav"),
        ("label", "IRMAS-TestingData-Part1/Part1/01 - Allegro-3.wav", "has the label 'xyz'"),
        ("name", "IRMAS-TrainingData/cel/somewhat.wav", "does not follow the code"),
        ("folder", "IRMAS-TrainingData/voi/[tru][jaz_blu]0019__1.wav", "its name says tru"),
        ("genre", "IRMAS-TrainingData/cla/[cel][cla]0021__1.wav", "its name says cel"),
        ("empty", "IRMAS-TrainingData/voi/[voi][pop_roc]0441__1.wav", "an empty file"),
    ],
)
def test_every_problem_is_named(tree: Path, change: str, file: str, said: str) -> None:
    sound = tree / "IRMAS-TestingData-Part1/Part1/01 - Allegro-3.wav"
    if change == "remove_list":
        sound.with_suffix(".txt").unlink()
    elif change == "remove_sound":
        sound.unlink()
    elif change == "label":
        sound.with_suffix(".txt").write_text("xyz\t\n")
    elif change == "empty":
        (tree / file).write_bytes(b"")
    else:
        (tree / file).parent.mkdir(exist_ok=True)
        (tree / file).write_bytes(sound.read_bytes())
    problems = scan(IrmasSettings(path=tree)).problems
    assert list(problems) == [file]
    assert said in problems[file]


def test_a_corrected_annotation_makes_another_dataset(tree: Path) -> None:
    before = import_dataset("irmas", {"path": tree}, locate("irmas"), Cluster(workers=1))
    assert import_dataset("irmas", {"path": tree}, locate("irmas"), Cluster(workers=1)).snapshot == before.snapshot
    (tree / "IRMAS-TestingData-Part1/Part1/01 - Allegro-3.txt").write_text("org\t\n")
    with pytest.raises(UsageError, match="other files or annotations"):
        import_dataset("irmas", {"path": tree}, locate("irmas"), Cluster(workers=1))


def test_workers_do_not_use_what_they_remember_of_other_files(tree: Path) -> None:
    settings = json.dumps(IrmasSettings(path=tree).model_dump(mode="json"))
    old = inventory_of("irmas", settings).digest
    (tree / "IRMAS-TestingData-Part1/Part1/01 - Allegro-3.txt").write_text("org\t\n")
    remembered = inventory_of("irmas", settings)
    assert remembered.digest == old
    scan.cache_clear()
    new = scan(IrmasSettings(path=tree)).digest
    assert inventory_of("irmas", settings, new).digest == new != old
    with pytest.raises(BuildError, match="files changed"):
        inventory_of("irmas", settings, old)


def test_some_rows_are_whole_recordings_of_several_classes(tree: Path) -> None:
    import_dataset("irmas", {"path": tree}, locate("irmas"), Cluster(workers=1))
    data = Dataset("irmas")
    some = some_rows(data, 6)
    assert len(some) == 6
    assert (np.diff(some) > 0).all()
    assert not np.array_equal(some, np.arange(6))
    assert len(set(data.read(TAGS)[some].argmax(axis=1))) > 1
    assert np.array_equal(some_rows(data, 1000), data.usable())
    rows = load_rows([data], (), "note", 6, classes=tag_classes, audio=True)
    assert np.array_equal(rows.row, some)
    assert np.array_equal(rows.audio, data.read("audio")[some][:, 0])
