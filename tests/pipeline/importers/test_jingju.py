"""What is particular to jingju a cappella: TextGrids in UTF-16, text files of version 7, the table of classes, and
mirdata's reading.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mirdata
import numpy as np
import pytest
import yaml

from tests.fixtures import jingju
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.catalogue.shipped import read_table
from timbre_data.pipeline.importers.jingju import JingjuSettings, scan
from timbre_data.pipeline.store.columns import FRAMES
from timbre_data.pipeline.store.layout import segments_of
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import NotFoundError, UsageError


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    scan.cache_clear()


def said(data: Dataset, file: str) -> list[tuple[float, float, str]]:
    """Segments of a recording, its pieces put together."""
    rows = np.flatnonzero(data.read("labels/file") == file)
    return segments_of(np.concatenate([data.read(FRAMES, int(row)) for row in rows]), data.names(FRAMES))


def near(segments: list[tuple[float, float, str]]) -> list[tuple[Any, Any, str]]:
    return [(pytest.approx(start), pytest.approx(stop), name) for start, stop, name in segments]


SUNG = [(0.5, 0.7, "u"), (0.7, 3.0, "O"), (4.0, 4.2, "voiced consonant"), (4.2, 5.6, "@n"), (5.6, 6.0, "sil")]


def test_phonemes_count_inside_of_syllables_only(tmp_path: Path) -> None:
    jingju.make(tmp_path / "a")
    import_dataset("jingju", {"path": tmp_path / "a"}, locate("a"), Cluster(workers=2))
    data = Dataset("a")
    for file in set(data.read("labels/file")):
        assert said(data, file) == near(SUNG)
    assert set(data.read("labels/role")) == {"dan", "laosheng"}


def test_version_7_says_what_mirdata_reads(tmp_path: Path) -> None:
    root = tmp_path / "b"
    jingju.make_version_7(root)
    import_dataset("jingju", {"path": root}, locate("b"), Cluster(workers=2))
    data = Dataset("b")
    files = sorted(set(data.read("labels/file")))
    tracks = {}
    for file in files:
        role, stem = Path(file).parent.name, Path(file).stem
        parts = {
            tier: [f"annotation_txt/{role}/{stem}_{tier}.txt", ""]
            for tier in ("phoneme", "phrase", "phrase_char", "syllable")
        }
        tracks[stem] = {"audio": [file, ""]} | parts
    (root / "index.json").write_text(json.dumps({"version": "7.0", "tracks": tracks}))
    (root / "catalogue - laosheng.csv").write_text("id,work,,details\n")
    theirs = mirdata.initialize("compmusic_jingju_acappella", data_home=str(root))
    theirs.index_path = str(root / "index.json")
    table = {label: name for name, labels in read_table("jingju-phonemes").items() for label in labels}
    for file in files:
        phonemes = theirs.track(Path(file).stem).phoneme
        expected = [(a, b, table[c]) for (a, b), c in zip(phonemes.intervals, phonemes.lyrics, strict=True)]
        assert said(data, file) == near(expected)


def test_the_shipped_table_has_29_classes_and_each_label_once() -> None:
    table = read_table("jingju-phonemes")
    labels = [label for own in table.values() for label in own]
    assert len(table) == 29
    assert len(labels) == len(set(labels))


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    jingju.make(tmp_path / "c")
    mine = {"silence": [""], "vowel": ["O", "a", "@n"], "consonant": ["m", "w", "x"]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine, sort_keys=False))
    found = scan(JingjuSettings(path=tmp_path / "c", table=str(tmp_path / "mine.yaml")))
    assert found.frame_classes == ("silence", "vowel", "consonant")
    assert not found.problems
    (tmp_path / "twice.yaml").write_text(yaml.safe_dump(mine | {"other": ["a"]}))
    with pytest.raises(UsageError, match="two classes"):
        scan(JingjuSettings(path=tmp_path / "c", table=str(tmp_path / "twice.yaml")))
    with pytest.raises(NotFoundError, match="no table"):
        scan(JingjuSettings(path=tmp_path / "c", table="nowhere"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("no_grid", "missing: its phonemes"),
        ("no_sound", "missing: danbz-Bei_jiu_chan01-qm.wav"),
        ("label", "labels that the table does not know: 'zz'"),
        ("broken", "unreadable: danbz-Bei_jiu_chan01-qm.TextGrid"),
        ("tier", "no tier details"),
        ("empty", "unreadable: an empty file"),
        ("folder", "in no folder of a role"),
    ],
)
def test_every_problem_is_named(tmp_path: Path, change: str, told: str) -> None:
    jingju.make(tmp_path)
    sound = tmp_path / "wav/danAll/danbz-Bei_jiu_chan01-qm.wav"
    grid = tmp_path / "annotation/danAll/danbz-Bei_jiu_chan01-qm.TextGrid"
    text = grid.read_bytes().decode("utf-16")
    if change == "no_grid":
        grid.unlink()
    elif change == "no_sound":
        sound.unlink()
    elif change == "label":
        grid.write_text(text.replace('"O"', '"zz"'), encoding="utf-16")
    elif change == "broken":
        grid.write_bytes(b"\xfe\xff\x00a")
    elif change == "tier":
        grid.write_text(text.replace("details.", "other"), encoding="utf-16")
    elif change == "empty":
        sound.write_bytes(b"")
    elif change == "folder":
        (tmp_path / "wav/stray.wav").write_bytes(sound.read_bytes())
    problems = scan(JingjuSettings(path=tmp_path)).problems
    assert len(problems) == 1
    assert told in next(iter(problems.values()))


def test_recordings_are_divided_as_a_whole(tmp_path: Path) -> None:
    jingju.make(tmp_path)
    origins = scan(JingjuSettings(path=tmp_path)).origins
    assert {origin.split for origin in origins} <= {"train", "validation", "test"}
    assert all(origin.group for origin in origins)
