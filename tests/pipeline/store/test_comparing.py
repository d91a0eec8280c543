"""What `diff` says of changes that were planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy.stats import wasserstein_distance

from tests.conftest import build, small_recipe
from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.columns import ROW_ARRAYS, ROW_HASH
from timbre_data.pipeline.store.comparing import compare
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.task_session import hashes
from timbre_data.pipeline.store.writer import Writer


def test_a_dataset_is_the_same_as_itself_built_another_way(
    render: Callable[..., Dataset], command: Callable[..., int]
) -> None:
    first = render("distortion", "d", n=150)
    build(small_recipe("distortion", n=60), "e")
    second = build(small_recipe("distortion", n=150), "e")
    difference = compare(first, second)
    assert difference.same
    assert difference.equal_rows == 150
    assert not difference.recipe
    assert command("dataset", "diff", "d", "e") == 0


def test_what_was_added_is_told(render: Callable[..., Dataset], command: Callable[..., int]) -> None:
    render("distortion", "d", n=150)
    grown = build(small_recipe("distortion", n=400), "d")
    featurizing.featurize(grown.location, {"autofx163": {}}, Cluster(workers=1))
    difference = compare(Dataset("d@v1.0.0"), Dataset("d"))
    assert difference.rows == (150, 400)
    assert difference.equal_rows == 150
    assert difference.recipe == {"n": (150, 400)}
    assert difference.features == {"autofx163": "only in d"}
    assert command("dataset", "diff", "d@v1.0.0", "d") == 1


def test_rows_with_other_labels_and_other_sounds_are_told(
    render: Callable[..., Dataset], command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    first = render("distortion", "d", n=150)
    second = render("distortion", "e", n=150)
    with Writer(second.location) as writer:
        root = writer.root()
        columns = {path: np.array(second.read(path)) for path in ROW_ARRAYS}
        columns["params"][3, 0] = 0.5 if columns["params"][3, 0] != 0.5 else 0.25
        columns["audio"][70, 0, 100] ^= 0x2000  # a quarter of full scale
        for path in ("params", "audio"):
            array = root[path]
            assert isinstance(array, zarr.Array)
            array[:] = columns[path]
        stored = root[ROW_HASH]
        assert isinstance(stored, zarr.Array)
        stored[:] = hashes(columns, ROW_ARRAYS)
        writer.commit("planted")
    difference = compare(first, Dataset("e"))
    assert not difference.same
    assert difference.equal_rows == 148
    assert difference.other_labels == [3]
    assert difference.other_sounds == [70]
    assert difference.sounds_db == pytest.approx(20 * np.log10(0x2000 / 32767), abs=0.01)
    capsys.readouterr()
    assert command("dataset", "diff", "d", "e", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["other_sounds"] == [70]
    assert command("dataset", "diff", "d", "e") == 1
    assert "other sounds: 1 rows, by up to -12.0 dB: 70" in capsys.readouterr().out


def test_distributions_and_descriptions_are_compared(render: Callable[..., Dataset]) -> None:
    first = render("distortion", "d", n=150)
    changes = {"seed": 7, "chain.steps.0.parameters": {"drive_db": [0, 30]}}
    second = build(small_recipe("distortion", n=150, **changes), "e")
    difference = compare(first, second)
    names = first.space.names
    about = difference.parameters["distortion.drive_db"]
    column = names.index("distortion.drive_db")
    expected = wasserstein_distance(first.read("params")[:, column], second.read("params")[:, column])
    assert about["distance"] == pytest.approx(expected)
    assert "distribution" in " ".join(about["described"])
    assert difference.recipe["seed"] == (0, 7)
    other = compare(first, render("delay", "f", n=20))
    assert other.parameters["delay.mix"] == {"only_in": "f"}
    assert not other.same


def test_a_received_dataset_is_made_again(
    render: Callable[..., Dataset], command: Callable[..., int], capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    data = render("distortion", "d", n=150)
    capsys.readouterr()
    assert command("render", "--from", "d", "--out", "again") == 0
    assert "150 of 150 rows are equal to those of d" in capsys.readouterr().out
    assert Dataset("again").digest() == data.digest()
    assert command("render", "--from", "d", "--out", "other", "--seed", "5") == 0
    assert "0 of 150 rows are equal" in capsys.readouterr().out
    assert command("render", "--from", "d") == 2
    assert command("render", "--from", "nothing", "--out", "x") == 2
    assert command("render", "--from", "d", "--fx", "delay", "--out", "x") == 2
    assert not (home / "x").exists()


def test_rows_of_a_selection_are_found_again_by_their_hash(
    render: Callable[..., Dataset], command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    first = render("distortion", "d", n=150)
    featurizing.featurize(first.location, {"autofx48": {}}, Cluster(workers=1))
    assert command("dataset", "select", "d", "--where", "row >= 50", "--out", "c") == 0
    for difference in (compare(Dataset("d"), Dataset("c")), compare(Dataset("c"), Dataset("d"))):
        assert difference.equal_rows == 100
        assert not difference.other_labels
        assert not difference.other_sounds
        assert difference.features == {"autofx48": "equal"}
        assert not difference.same
    assert command("dataset", "diff", "d", "c") == 1
    assert "rows: 150 -> 100 (50 fewer), 100 equal" in capsys.readouterr().out
