"""Selected and merged datasets: rows keep hashes, say where they come from, verify, and render again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from tests.conftest import all_columns, build, small_recipe
from timbre_data.pipeline.build import deriving, featurizing, row_copying
from timbre_data.pipeline.build.engine import Cluster, Task
from timbre_data.pipeline.build.rerendering import rerender_rows
from timbre_data.pipeline.store.columns import ORIGIN_DATASET, ORIGIN_ROW, ROW_HASH, SOURCE_ROW
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.selecting import Selection
from timbre_data.pipeline.store.verify import verify
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.errors import CorruptDataError, UsageError


def select(source: Dataset | str, out: str, where: str | None = None, **options: Any) -> Dataset:
    """Select rows into a dataset and open it."""
    cluster = options.pop("cluster", Cluster(workers=2))
    data = source if isinstance(source, Dataset) else Dataset(source)
    deriving.select(data, Selection(where, **options), locate(out), cluster)
    return Dataset(out)


def merge(*names: str, out: str = "merged", cluster: Cluster | None = None) -> Dataset:
    """Merge datasets and open the result."""
    deriving.merge([Dataset(name) for name in names], locate(out), cluster or Cluster(workers=2))
    return Dataset(out)


def test_selected_rows_are_those_rows(render: Callable[..., Dataset]) -> None:
    source = render("distortion", "d", n=600)
    featurizing.featurize(source.location, {"autofx48": {}, "logmel": {}}, Cluster(workers=2))
    source = Dataset("d")
    chosen = select(source, "c", 'drive_db > 20 and split == "train"')
    rows = chosen.read(ORIGIN_ROW)
    assert (
        rows == np.flatnonzero((source.space.to_values(source.read("params"))[:, 0] > 20) & (source.split() == 0))
    ).all()
    for path in (
        ROW_HASH,
        "audio",
        "params",
        "labels/mask",
        "gain",
        "split",
        "features/autofx48",
        "spectrograms/logmel",
    ):
        assert (chosen.read(path) == source.read(path, rows)).all(), path
    assert (chosen.dry(slice(0, chosen.n)) == source.dry(rows)).all()
    assert chosen.feature_sets() == source.feature_sets()
    verdict = verify(chosen)
    assert verdict.whole
    assert verdict.checked > 4 * chosen.n
    again = rerender_rows(chosen, 32)
    assert again["same"]
    assert again["equal"] == 32


def test_merged_rows_are_those_rows_with_the_columns_of_all(
    render: Callable[..., Dataset], command: Callable[..., int]
) -> None:
    first, second = render("distortion", "d", n=300), render("delay", "e", n=100)
    data = merge("d", "e")
    assert data.n == 400
    assert (data.read(ROW_HASH) == np.concatenate([first.read(ROW_HASH), second.read(ROW_HASH)])).all()
    assert data.read(ORIGIN_DATASET).tolist() == [0] * 300 + [1] * 100
    assert data.space.names == (*first.space.names, *second.space.names)
    assert (data.read("params")[:300, : len(first.space)] == first.read("params")).all()
    assert (data.read("params")[300:, len(first.space) :] == second.read("params")).all()
    assert not data.read("labels/mask")[300:, : len(first.space)].any()
    order = data.read("labels/order")
    assert order[:300].tolist() == [[0, -1]] * 300
    assert order[300:].tolist() == [[-1, 0]] * 100
    assert len(data.read("dry/identity")) == len(set(data.read("dry/identity").tolist()))  # stored once
    assert verify(data).whole
    assert rerender_rows(data, 64)["equal"] == 64
    assert command("featurize", "merged", "--features", "autofx163") == 0
    assert command("train", "class_mlp", "--data", "merged", "--set", "max_epochs=1", "--name", "r") == 0
    assert json.loads(Path(data.location.folder.parent.parent, "runs/r/settings.json").read_text())


def test_selections_of_selections_remember_the_first_dataset(render: Callable[..., Dataset]) -> None:
    source = render("distortion", "d", n=300)
    render("delay", "e", n=100)
    merge("d", "e")
    chosen = select("merged", "c", balance="effect", n=60)
    last = select("c", "l", 'origin == "d"')
    assert [origin["name"] for origin in last.meta["origins"]] == ["d", "e"]
    assert (last.read(ROW_HASH) == source.read(ROW_HASH, last.read(ORIGIN_ROW))).all()
    for data in (chosen, last):
        assert verify(data).whole
        assert rerender_rows(data, 10)["equal"] == 10
    one = merge("l", "d", out="back")
    assert one.n == 300
    assert len(one.meta["origins"]) == 2


def test_any_number_of_workers_and_any_resume_give_the_same_bytes(
    render: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    render("distortion", "d", n=600)
    render("delay", "e", n=300)
    expected = merge("d", "e", out="one", cluster=Cluster(workers=1, batch=256))
    other = merge("d", "e", out="other", cluster=Cluster(workers=3, batch=512))
    monkeypatch.setenv("TIMBRE_DATA_COMMIT_SECONDS", "0")
    real = row_copying.copy_rows

    def failing(session: bytes, address: str, task: Task, *arguments: Any) -> Any:
        if task.start >= 512:
            raise CorruptDataError("pulled out")
        return real(session, address, task, *arguments)

    monkeypatch.setattr(deriving, "copy_rows", failing)
    with pytest.raises(CorruptDataError, match="pulled out"):
        merge("d", "e", out="killed", cluster=Cluster(workers=1, batch=256))
    begun = Dataset("killed")
    assert 0 < begun.present().sum() < 900
    assert begun.version == "unfinished"
    monkeypatch.setattr(deriving, "copy_rows", real)
    killed = merge("d", "e", out="killed", cluster=Cluster(workers=1))
    columns = all_columns(expected)
    for data in (other, killed):
        assert data.digest() == expected.digest()
        assert all(
            (values == columns[path]).all() for path, values in all_columns(data).items() if values.dtype.kind != "f"
        )
        assert not data.has(SOURCE_ROW)
    assert merge("d", "e", out="killed").snapshot == killed.snapshot  # nothing more to do


def test_damage_is_not_copied(render: Callable[..., Dataset]) -> None:
    source = render("distortion", "d", n=300)
    with Writer(source.location) as writer:
        gain = writer.root()["gain"]
        assert isinstance(gain, zarr.Array)
        gain[7] = 0.123
        writer.commit("planted")
    with pytest.raises(CorruptDataError, match=r"row 7 is damaged"):
        select("d", "c")
    assert select("d", "other", "row != 7").n == 299


@pytest.mark.parametrize(
    "path", ["origin/row", "origin/dataset", "origin/dry_index", "dry/index", "labels/mask", "audio"]
)
def test_changes_of_a_merged_dataset_are_found(render: Callable[..., Dataset], path: str) -> None:
    render("distortion", "d", n=300)
    render("delay", "e", n=100)
    data = merge("d", "e")
    with Writer(data.location) as writer:
        array = writer.root()[path]
        assert isinstance(array, zarr.Array)
        values = np.asarray(array[5:6])
        array[5:6] = ~values if values.dtype == bool else values ^ 1
        writer.commit("planted")
    verdict = verify(Dataset("merged"))
    assert not verdict.whole
    assert any(5 in rows for rows in verdict.damaged.values())


def test_what_cannot_be_one_dataset_is_refused(render: Callable[..., Dataset], home: Path) -> None:
    render("distortion", "d", n=100)
    build(small_recipe("distortion", n=100, **{"audio.rate": 16000}), "slow")
    build(small_recipe("distortion", n=100, **{"chain.steps.0.parameters": {"drive_db": [0, 30]}}), "soft")
    for name, said in (("slow", r"audio.rate 22050 and 16000"), ("soft", "drawn differently in d and soft")):
        with pytest.raises(UsageError, match=said):
            merge("d", name)
    with pytest.raises(UsageError, match="two datasets or more"):
        merge("d")
    assert not (home / "merged").exists()


def test_other_splits_of_the_same_sounds_are_warned_of(render: Callable[..., Dataset]) -> None:
    render("distortion", "d", n=100)
    build(small_recipe("delay", n=100, **{"split.seed": 5}), "e")
    report = deriving.merge([Dataset("d"), Dataset("e")], locate("m"), Cluster(workers=1))
    assert "in more than one split" in " ".join(report.warnings)
    render("delay", "f", n=100)
    assert not deriving.merge([Dataset("d"), Dataset("f")], locate("n"), Cluster(workers=1)).warnings


def test_nothing_is_rendered_into_a_selection(render: Callable[..., Dataset], command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    data = render("distortion", "d", n=300)
    assert command("dataset", "select", "d", "--where", "row < 50", "--out", "c") == 0
    recipe = data.recipe
    for options in ({}, {"dry_run": True}):
        with pytest.raises(UsageError, match="takes no new rows"):
            build(recipe.model_copy(update={"n": 400}), "c", **options)
    capsys.readouterr()
    assert command("render", "--from", "c", "--out", "x") == 2
    assert command("dataset", "select", "d", "--where", "row < 60", "--out", "c") == 2
    assert "is not this selection" in capsys.readouterr().err
    assert command("dataset", "select", "d", "--where", "row < 60", "--out", "x", "--dry-run") == 0
    assert "would take 60 rows" in capsys.readouterr().out


def test_an_export_of_a_selection(render: Callable[..., Dataset], command: Callable[..., int], tmp_path: Path) -> None:
    render("distortion", "d", n=100)
    out = tmp_path / "out"
    assert command("dataset", "export", "d", "--where", "drive_db > 30", "--n", "10", "--to", str(out)) == 0
    exported = Dataset(str(out))
    assert exported.n == 10
    assert (exported.space.to_values(exported.read("params"))[:, 0] > 30).all()
    assert verify(exported).whole
    assert rerender_rows(exported, 5)["equal"] == 5
    assert "10 rows come from d 1.0.0" in (out / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir() if "selection" in path.name] == []
    again = select(str(out), "again")
    assert verify(again).whole
    assert command("dataset", "export", "d", "--where", "drive_db > 30", "--n", "10", "--to", str(tmp_path / "o2")) == 0
    assert (tmp_path / "o2" / "SHA256SUMS").read_text() == (out / "SHA256SUMS").read_text()
    for form in ("wav", "parquet", "huggingface", "webdataset"):
        assert command("dataset", "export", "d", "--n", "10", "--to", str(tmp_path / form), "--format", form) == 0
    assert len(list((tmp_path / "wav").rglob("*.wav"))) == 10
    tables = [pd.read_csv(path) for path in (tmp_path / "wav").rglob("metadata.csv")]
    labels = pd.concat(tables)
    assert set(labels["origin"]) == {"d"}
    drive = Dataset("d").space.to_values(Dataset("d").read("params", labels["origin_row"].to_numpy()))[:, 0]
    assert np.allclose(labels["distortion.drive_db"], drive, rtol=1e-6)
    tested = tmp_path / "tested"
    words = ("--where", 'split == "test"', "--to", str(tested), "--format", "wav")
    assert command("dataset", "export", "d", *words) == 0
    assert "test/metadata.csv" in (tested / "README.md").read_text()
    assert "train/" not in (tested / "README.md").read_text().partition("## Citing")[0].partition("## Opening")[2]
    assert command("dataset", "export", "d", "--where", "nothing > 1", "--to", str(tmp_path / "x")) == 2
    assert not (tmp_path / "x").exists()


def test_imported_and_rendered_rows_are_one_dataset(command: Callable[..., int], tmp_path: Path) -> None:
    from tests.fixtures.idmt_smt_audio_effects import make

    make(tmp_path / "idmt")
    settings = ("--rate", "8000", "--set", "audio.seconds=0.5")
    assert command("import", "idmt-smt-audio-effects", str(tmp_path / "idmt"), "--out", "i", *settings) == 0
    imported = Dataset("i")
    chosen = select("i", "some", n=5)
    assert chosen.meta["kind"] == "imported"
    assert verify(chosen).whole
    with pytest.raises(UsageError, match="was imported"):
        rerender_rows(chosen, 2)
    audio = {f"audio.{key}": value for key, value in imported.recipe.audio.model_dump(mode="json").items()}
    build(small_recipe("chorus", **audio, n=50), "d")
    both = merge("i", "d", out="both")
    assert verify(both).whole
    assert rerender_rows(both, 100)["equal"] == 50
    assert both.n == imported.n + 50
