"""Datasets that travel: whole copies, only what is missing, nothing lost on the way."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import all_columns, small_recipe
from timbre_data.pipeline.build import featurizing, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.store import copying
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.location import STORE, locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify
from timbre_data.pipeline.store.versions import log, tag
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.errors import CorruptDataError, LockedError, NotFoundError, UsageError


def copied(source: str, target: str) -> copying.CopyReport:
    return copying.copy(locate(source), locate(target), NoProgress())


@pytest.fixture
def data(render: Callable[..., Dataset]) -> Dataset:
    made = render("distortion", "d", n=150)
    featurizing.featurize(made.location, {"autofx163": {}}, Cluster(workers=1))
    tag(made.location, "paper")
    return Dataset("d")


def test_a_copy_has_everything(data: Dataset) -> None:
    report = copied("d", "c")
    copy = Dataset("c")
    assert report.digest == copy.digest() == data.digest()
    assert copy.snapshot == data.snapshot
    for path, values in all_columns(data).items():
        assert np.array_equal(copy.read(path), values), path
    assert log(copy.location) == log(data.location)
    assert verify(copy).whole
    assert verify(Dataset("c@paper")).whole
    assert report.there_already == 0


def test_only_what_is_missing_is_sent(data: Dataset) -> None:
    first = copied("d", "c")
    assert copied("d", "c").sent == 0
    rendering.render(small_recipe("distortion", n=400), locate("d"), Cluster(workers=1))
    second = copied("d", "c")
    assert 0 < second.sent_bytes < first.sent_bytes * 400 / 150
    assert second.there_already == first.sent
    assert Dataset("c").read("integrity/rows").tolist() == Dataset("d").read("integrity/rows").tolist()
    assert Dataset("c@v1.0.0").n == 150
    assert not verify(Dataset("c")).damaged


def test_a_copy_is_a_dataset_like_any_other(data: Dataset) -> None:
    copied("d", "c")
    rendering.render(small_recipe("distortion", n=400), locate("c"), Cluster(workers=1))
    assert Dataset("c").n == 400
    with pytest.raises(UsageError, match="has commits or tags that"):
        copied("d", "c")
    copied("c", "d")  # the other way it is a later state of the same
    assert Dataset("d").n == 400


def test_other_datasets_are_left_alone(data: Dataset, render: Callable[..., Dataset], tmp_path: Path) -> None:
    other = render("delay", "other", n=20)
    with pytest.raises(UsageError, match="is another dataset"):
        copied("d", "other")
    assert Dataset("other").digest() == other.digest()
    with pytest.raises(UsageError, match="the same place"):
        copied(
            "d",
            "./" + str(data.location.folder) if not data.location.folder.is_absolute() else str(data.location.folder),
        )
    with pytest.raises(UsageError, match="whole history"):
        copied("d@v1.0.0", "c")
    with pytest.raises(NotFoundError):
        copied("nothing", "c")
    export(data, tmp_path / "out", "zarr")
    with pytest.raises(UsageError, match="is an export"):
        copied(str(tmp_path / "out"), "c")
    with Writer(data.location), pytest.raises(LockedError):
        copied("other", "d")
    assert not (data.location.folder.parent / "c").exists()


def test_what_is_damaged_on_the_way_is_found(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    put = copying._put

    def damaging(store: object, path: str, content: bytes) -> None:
        put(store, path, content[:-1] + bytes([content[-1] ^ 1]) if path.startswith("chunks/") else content)

    monkeypatch.setattr(copying, "_put", damaging)
    with pytest.raises(CorruptDataError, match="not stored as it was sent"):
        copied("d", "c")
    monkeypatch.setattr(copying, "_put", put)
    with pytest.raises(NotFoundError):
        Dataset("c")


@pytest.mark.slow
def test_a_killed_copy_goes_on(data: Dataset, home: Path) -> None:
    rendering.render(small_recipe("distortion", n=3000), locate("d"), Cluster(workers=2))
    whole = sum(1 for path in (home / "d" / STORE).rglob("*") if path.is_file())
    words = [sys.executable, "-c", "from timbre_data.cli import main; main()", "dataset", "copy", "d", "c"]
    for _ in range(40):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and not list((home / "c").glob("store.copying/chunks/*")):
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        if not (home / "c" / STORE).exists() and list((home / "c").glob("store.copying/chunks/*")):
            break
        subprocess.run(["rm", "-rf", str(home / "c")], check=True)
    before = len(list((home / "c").glob("store.copying/chunks/*")))
    assert 0 < before < whole
    with pytest.raises(NotFoundError):
        Dataset("c")
    report = copied("d", "c")
    assert report.there_already > 0
    assert Dataset("c").digest() is None  # its features are unfinished, as those of the original
    assert verify(Dataset("c")).damaged == {}
    assert not (home / "c" / "store.copying").exists()


def test_renaming(data: Dataset, command: Callable[..., int], home: Path) -> None:
    digest = data.digest()
    assert command("dataset", "rename", "d", "e") == 0
    assert Dataset("e").digest() == digest
    assert not (home / "d").exists()
    assert command("dataset", "rename", "e", "e") == 2
    assert command("dataset", "rename", "nothing", "f") == 2


def test_renaming_to_another_file_system(data: Dataset, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    digest = data.digest()
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if Path(target).name == "e":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    copying.rename(locate("d"), locate("e"), NoProgress())
    assert Dataset("e").digest() == digest
    assert not (home / "d").exists()


def test_removing_asks(data: Dataset, command: Callable[..., int], home: Path) -> None:
    (home / "d" / "notes.txt").write_text("mine")
    assert command("dataset", "rm", "d") == 2
    assert Dataset("d").n == 150
    assert command("dataset", "rm", "d@v1.0.0", "--yes") == 2
    with Writer(data.location):
        assert command("dataset", "rm", "d", "--yes") == 4
    assert command("dataset", "rm", "d", "--yes") == 0
    assert [path.name for path in (home / "d").iterdir()] == ["notes.txt"]
    assert command("dataset", "rm", "d", "--yes") == 2


def test_a_shared_home_is_listed(
    data: Dataset, command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(data, tmp_path / "shared" / "out", "zarr")
    copied("d", str(tmp_path / "shared" / "c"))
    capsys.readouterr()
    assert command("dataset", "list", str(tmp_path / "shared"), "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["c", "out"]
    for row in rows:
        assert row["version"] == "1.1.0"
        assert row["rows"] == row["present"] == 150
        assert row["finished"] is True
        assert row["bytes"] > 150 * 8000
        assert row["by"]
        assert row["date"]
    assert command("dataset", "list", str(tmp_path / "none")) == 0
