"""What is particular to MagnaTagATune: its annotations, its division by folder, its empty files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.fixtures.magnatagatune import CLIPS, make
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.importers.magnatagatune import MagnaTagATuneSettings, scan
from timbre_data.pipeline.store.columns import TAGS
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import NotFoundError, SourceError, UsageError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    make(tmp_path / "mtt")
    scan.cache_clear()
    return tmp_path / "mtt"


def test_tags_are_the_most_frequent_ones_as_pandas_counts_them(tree: Path) -> None:
    import_dataset("magnatagatune", {"path": tree, "tags": 4}, locate("mtt"), Cluster(workers=2))
    data = Dataset("mtt")
    table = pd.read_csv(tree / "annotations_final.csv", sep="\t").set_index("mp3_path").drop(columns="clip_id")
    top = table.sum().sort_values(ascending=False, kind="stable").index[:4].tolist()
    assert data.names(TAGS) == top
    for row, file in enumerate(data.read("labels/file")):
        assert data.read(TAGS, row).tolist() == table.loc[file, top].astype(bool).tolist()


def test_pieces_are_those_of_the_decoded_file_and_folders_divide(tree: Path) -> None:
    import_dataset("magnatagatune", {"path": tree}, locate("mtt"), Cluster(workers=2))
    data = Dataset("mtt")
    for row, file in enumerate(data.read("labels/file")):
        whole, rate = soundfile.read(tree / file, dtype="float32")
        start = round(float(data.read("labels/start_seconds", row)) * rate)
        expected = whole[start : start + 3 * rate] * data.read("gain", row)  # an MP3 may pass full scale
        assert np.abs(expected - data.audio(row)[0]).max() < 1e-4
        assert data.split()[row] == {"c": 1, "d": 2, "e": 2, "f": 2}.get(file[0], 0)


@pytest.mark.parametrize(
    ("change", "said"), [("empty", "an empty file"), ("remove", "missing"), ("more", "does not list it")]
)
def test_every_problem_is_named(tree: Path, change: str, said: str) -> None:
    file = next(iter(CLIPS))
    if change == "empty":
        (tree / file).write_bytes(b"")
    elif change == "remove":
        (tree / file).unlink()
    else:
        file = "a/more.mp3"
        (tree / file).parent.mkdir()
        (tree / file).write_bytes(b"x")
    problems = scan(MagnaTagATuneSettings(path=tree)).problems
    assert list(problems) == [file]
    assert said in problems[file]


def test_a_clip_that_was_downloaded_in_part_is_named_and_its_missing_pieces_left_out(tree: Path) -> None:
    """Its header still tells the whole length."""
    file = next(iter(CLIPS))
    content = (tree / file).read_bytes()
    (tree / file).write_bytes(content[: len(content) // 2])
    assert not scan(MagnaTagATuneSettings(path=tree)).problems
    with pytest.raises(SourceError, match=r"bach.*cut short"):
        import_dataset("magnatagatune", {"path": tree}, locate("mtt"), Cluster(workers=2))
    import_dataset("magnatagatune", {"path": tree}, locate("mtt"), Cluster(workers=2), keep_going=True)
    data = Dataset("mtt")
    starts = data.read("labels/start_seconds")
    assert set(range(data.n)) - set(data.usable()) == set(
        np.flatnonzero((data.read("labels/file") == file) & (starts == starts.max()))
    )


def test_a_table_of_another_kind_is_refused(tree: Path) -> None:
    (tree / "annotations_final.csv").write_text("a,b\n1,2\n")
    with pytest.raises(NotFoundError, match="no columns"):
        scan(MagnaTagATuneSettings(path=tree))
    (tree / "annotations_final.csv").write_text("clip_id\tmp3_path\n", encoding="utf-16")
    with pytest.raises(UsageError, match="not a table in UTF-8"):
        scan(MagnaTagATuneSettings(path=tree))
