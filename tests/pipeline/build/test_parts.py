"""Rendering in parts: the same bytes as in one go, whoever is killed, late, twice or in the way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.conftest import build, same_bytes, small_recipe
from timbre_data.pipeline.build import part_rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.part_rendering import Part, finish, render_part
from timbre_data.pipeline.build.provenance import fingerprint
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.store.columns import ROW_HASH, TABLE_CHUNK
from timbre_data.pipeline.store.description import store_digest
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.parts import PartWriter
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.repository import open_repository
from timbre_data.pipeline.store.verify import verify
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.errors import (
    BuildError,
    ClusterLostError,
    LockedError,
    NotFoundError,
    UsageError,
)

CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]
N = 1500


def recipe(**changes: Any) -> Any:
    """A recipe of six chunks of short sounds."""
    return small_recipe("distortion", **({"n": N, "audio.seconds": 0.1} | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """What is made in one go; nobody changes it."""
    return build(recipe(), str(tmp_path_factory.mktemp("parts") / "whole"))


def part(text: str, name: str = "p", **changes: Any) -> Any:
    """Render one part."""
    return render_part(recipe(**changes), locate(name), Cluster(workers=1), Part.parse(text))


def branches(name: str) -> set[str]:
    """The branches of a dataset's store."""
    return set(open_repository(locate(name)).list_branches())


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 20])
@pytest.mark.parametrize(("first", "rows"), [(0, 1500), (100, 1500), (512, 513), (0, 10), (1000, 1500)])
def test_parts_cover_every_row_once_and_share_no_chunk(count: int, first: int, rows: int) -> None:
    ranges = [Part(number, count).rows(first, rows) for number in range(1, count + 1)]
    covered = [row for start, stop in ranges for row in range(start, stop)]
    assert covered == list(range(first, rows))
    chunks = [{row // TABLE_CHUNK for row in range(start, stop)} for start, stop in ranges]
    assert sum(map(len, chunks)) == len(set().union(*chunks))


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/2/3", "1/99999", "1.5/4"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write 3/20"):
        Part.parse(text)


def test_parts_in_any_order_are_the_dataset_that_is_made_in_one_go(
    whole: Dataset, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "still missing: 1/3, 3/3" in part("2/3").reason
    with pytest.raises(NotFoundError, match="is being made in parts"):
        Dataset("p")
    assert command("dataset", "list", "--json") == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["p"]["version"] == "in parts"
    assert (listed["p"]["present"], listed["p"]["rows"], listed["p"]["finished"]) == (512, N, False)
    with pytest.raises(BuildError, match="missing are 1/3, 3/3"):
        finish(locate("p"))
    assert part("3/3").version is None
    assert part("2/3").rows == 0  # done already
    assert part("1/3").version == "1.0.0"
    made = Dataset("p")
    assert same_bytes(whole, made)
    assert verify(made).whole
    assert branches("p") == {"main"}
    assert part("1/3").reason == "finished already"
    assert build(recipe(), "p").snapshot == made.snapshot


def test_a_finished_dataset_grows_in_parts_and_stays_as_it_was_until_they_are_joined(whole: Dataset) -> None:
    build(recipe(n=700), "p")
    part("1/2")
    assert Dataset("p").n == 700
    assert Dataset("p").version == "1.0.0"
    for words in (lambda: build(recipe(), "p"), lambda: Writer(locate("p")).__enter__()):
        with pytest.raises(UsageError, match="is being made in parts"):
            words()
    assert part("2/2").version == "1.1.0"
    assert same_bytes(whole, Dataset("p"))
    assert Dataset("p@v1.0.0").n == 700


def test_parts_that_were_given_up_leave_what_was_there(command: Callable[..., int]) -> None:
    build(recipe(n=700), "p")
    part("1/2")
    assert command("dataset", "finish", "p") == 1
    assert command("dataset", "finish", "p", "--drop") == 0
    assert branches("p") == {"main"}
    assert build(recipe(), "p").version == "1.1.0"
    assert command("dataset", "finish", "p") == 2


def test_nobody_renames_or_removes_what_a_part_is_being_made_of(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    build(recipe(n=700), "p")
    part("1/2")
    with PartWriter(locate("p")):
        capsys.readouterr()
        for words in (("rename", "p", "q"), ("rm", "p", "--yes"), ("finish", "p", "--drop")):
            assert command("dataset", *words) in (2, 4)
            assert "part" in capsys.readouterr().err
    assert command("dataset", "rename", "p", "q") == 2
    assert "is being made in parts" in capsys.readouterr().err
    (home / "p" / "part.99999.lock").touch()  # of a part that was killed
    assert command("dataset", "finish", "p", "--drop") == 0
    assert not list((home / "p").glob("part.*"))
    assert command("dataset", "rename", "p", "q") == 0


def test_a_part_whose_dataset_is_gone_says_so() -> None:
    part("1/2")
    with PartWriter(locate("p")) as writer:
        open_repository(locate("p")).delete_branch("parts")
        writer.root().attrs["x"] = 1
        with pytest.raises(BuildError, match="given up, or it was moved or removed"):
            writer.commit("late")


def test_a_damaged_dataset_can_be_removed(command: Callable[..., int], home: Path) -> None:
    build(recipe(n=20), "p")
    for path in (home / "p" / "store" / "refs").rglob("*.json"):
        path.unlink()
    assert command("dataset", "rm", "p", "--yes") == 0
    assert not (home / "p").exists()


def test_parts_of_something_else_are_refused() -> None:
    part("1/3")
    with pytest.raises(UsageError, match="in 3 parts, not 4: say --part 2/3"):
        part("2/4")
    with pytest.raises(UsageError, match=f"with n = {N}"):
        part("2/3", n=N + 300)
    with pytest.raises(UsageError, match="another recipe"):
        part("2/3", seed=5)
    assert part("2/3").version is None


def test_other_code_is_refused_or_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    part("1/2")
    other = fingerprint() | {"numpy": "1.0"}
    monkeypatch.setattr(part_rendering, "fingerprint", lambda: other)
    monkeypatch.setattr("timbre_data.pipeline.build.connecting.fingerprint", lambda: other)
    with pytest.raises(ClusterLostError, match="the machine that began this dataset runs other code"):
        part("2/2")
    cluster = Cluster(workers=1, allow_mixed=True)
    assert render_part(recipe(), locate("p"), cluster, Part(2, 2)).version == "1.0.0"
    assert other in Dataset("p").meta["provenance"]["mixed_with"]


RENDER = ("render", "--fx", "distortion", "--n", str(N), "--set", "audio.seconds=0.1", "--workers", "1", "--out", "p")


@contextmanager
def entered(method: str, at: int, *words: str) -> Iterator[list[str]]:
    """Let another process run a command just before this one calls a method of its writer for the `at`-th time."""
    real, calls = getattr(PartWriter, method), []

    def first_the_other(self: PartWriter, *arguments: Any, **named: Any) -> Any:
        calls.append(method)
        if len(calls) == at:
            other = subprocess.run([*CLI, *words], capture_output=True, text=True)
            assert other.returncode == 0, other.stderr
        return real(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartWriter, method, first_the_other)
        yield calls


@pytest.mark.slow  # processes of their own
@pytest.mark.parametrize(("method", "at"), [("_store", 2), ("_store", 3), ("_store", 4), ("_store", 5), ("refresh", 1), ("refresh", 2), ("refresh", 3)])  # fmt: skip
def test_another_part_in_the_middle_of_everything(whole: Dataset, method: str, at: int) -> None:
    with entered(method, at, *RENDER, "--part", "2/2") as calls:
        part("1/2")
    assert len(calls) >= at
    assert same_bytes(whole, Dataset("p"))
    assert branches("p") == {"main"}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tag", "join"])
def test_another_join_in_the_middle_of_a_join(whole: Dataset, method: str) -> None:
    part("2/2")
    with entered(method, 1, "dataset", "finish", "p") as calls:
        assert part("1/2").version == "1.0.0"
    assert calls
    assert same_bytes(whole, Dataset("p"))
    assert branches("p") == {"main"}


def test_two_machines_with_the_same_part_lose_nothing(whole: Dataset) -> None:
    part("1/2")
    with PartWriter(locate("p")) as one, PartWriter(locate("p")) as other:
        for writer in (one, other):
            array = writer.root()["gain"]
            array[900:910] = np.float32(0.5)  # type: ignore[index]  # an array
        one.commit("one")
        with pytest.raises(LockedError, match="another writer"):
            other.commit("other")
        assert other.snapshot == one.snapshot
    assert render_part(recipe(), locate("p"), Cluster(workers=1), Part(2, 2), progress=NoProgress()).version == "1.0.0"
    assert same_bytes(whole, Dataset("p"))


@pytest.mark.parametrize("again", ["part", "finish"])
def test_a_join_that_was_killed_is_done_again(monkeypatch: pytest.MonkeyPatch, again: str) -> None:
    part("1/2")
    for method in ("tag", "join"):
        with monkeypatch.context() as patch:
            patch.setattr(PartWriter, method, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                part("2/2") if method == "tag" else finish(locate("p"))
        with pytest.raises(NotFoundError):
            Dataset("p")
    assert (part("2/2") if again == "part" else finish(locate("p"))).version == "1.0.0"
    assert Dataset("p@v1.0.0").complete()
    assert Dataset("p").meta["parts"] is None
    assert branches("p") == {"main"}


def test_a_dataset_that_was_changed_meanwhile_is_not_overwritten() -> None:
    build(recipe(n=700), "p")
    part("1/2")
    repo = open_repository(locate("p"))
    session = repo.writable_session("main")  # as an older version of this package would
    root = zarr.open_group(session.store, mode="a")
    root.attrs["other"] = 1
    store_digest(root)
    session.commit("somebody else")
    with pytest.raises(UsageError, match="was changed while its parts were made"):
        part("2/2")
    assert int((Dataset("p").read(ROW_HASH) != 0).sum()) == 700
