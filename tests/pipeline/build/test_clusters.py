"""Clusters that fail: no claim without data, one line within seconds, and the same command ends with the same bytes."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from tests.conftest import build, small_recipe
from timbre_data.pipeline.build import engine, featurizing, rendering, stage, watching
from timbre_data.pipeline.build.connecting import dask_client
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.watching import Patience
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.store.columns import ROW_HASH
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.errors import (
    BuildError,
    ClusterLostError,
    CorruptDataError,
    SourceError,
    TimbreDataError,
    UsageError,
)

CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]
ROWS = 30_000


def test_a_version_is_tagged_only_when_everything_of_it_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lost the rows: here, a stage that reports success without having done anything."""
    real = stage.run_stage

    def nothing(client: Any, cluster: Any, writer: Any, job: Any, *rest: Any) -> list[dict[str, Any]]:
        return [] if job.title == "rendering" else real(client, cluster, writer, job, *rest)

    monkeypatch.setattr(rendering, "run_stage", nothing)
    with pytest.raises(BuildError, match="300 rows are missing"):
        build(small_recipe(), "d")
    monkeypatch.setattr(rendering, "run_stage", real)
    data = Dataset("d")
    assert data.version == "unfinished"
    with Writer(data.location) as writer:
        assert not writer.tags
    assert build(small_recipe(), "d").version == "1.0.0"


def test_tasks_that_a_scheduler_forgets_are_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[Any] = []

    class Forgetful(queue.Queue[Any]):
        """Gives the first two futures as cancelled."""

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            future = super().get(block, timeout)
            if len(forgotten) < 2:
                forgotten.append(future)
                future.cancel()
            return future

    monkeypatch.setattr(engine, "queue", SimpleNamespace(SimpleQueue=Forgetful, Empty=queue.Empty))
    data = build(small_recipe(n=1100), "d", cluster=Cluster(workers=2, batch=256))
    assert len(forgotten) == 2
    assert data.complete()


def test_results_that_are_lost_on_their_way_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task has ended, and its scheduler goes while it brings the result."""
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError

    lost = [FutureCancelledError("task", "lost"), CommClosedError("in between")]

    class Losing(queue.Queue[Any]):
        """Gives the first two futures as finished, whose results do not come."""

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            future = super().get(block, timeout)
            if lost:
                future.result = Mock(side_effect=lost.pop())
            return future

    monkeypatch.setattr(engine, "queue", SimpleNamespace(SimpleQueue=Losing, Empty=queue.Empty))
    data = build(small_recipe(n=1100), "d", cluster=Cluster(workers=2, batch=256))
    assert not lost
    assert data.complete()


def test_a_result_that_never_comes_keeps_no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task has ended, and its scheduler is stopped while it brings the result."""
    over = threading.Event()

    class Stopped(queue.Queue[Any]):
        """Gives futures whose results do not come."""

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            future = super().get(block, timeout)
            future.result = Mock(side_effect=over.wait)
            monkeypatch.setattr(watching.ClusterWatch, "problem", lambda self: "the scheduler does not answer")
            return future

    monkeypatch.setattr(engine, "queue", SimpleNamespace(SimpleQueue=Stopped, Empty=queue.Empty))
    with pytest.raises(ClusterLostError, match=r"the scheduler does not answer, after 0\.5 s of waiting"):
        build(small_recipe(n=1100), "d", cluster=Cluster(workers=2, batch=256, patience=0.5))
    over.set()
    assert Dataset("d").version == "unfinished"


def test_a_scheduler_that_does_not_answer_leaves_no_dataset(home: Path) -> None:
    with socket.socket() as listening:  # accepts and says nothing
        listening.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        build(small_recipe(), "d", cluster=Cluster(scheduler=address))
    assert not (home / "d").exists()


def test_patience_counts_from_the_trouble_or_the_last_result(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("timbre_data.pipeline.build.watching.time.monotonic", lambda: now[0])
    patience = Patience(10)
    assert patience.news(None) is None
    assert patience.news("x is gone") == "x is gone; waiting up to 10 s (--patience)"
    assert patience.news("x is gone") is None
    now[0] = 8
    patience.progressed()
    now[0] = 17
    assert patience.news("x is gone") is None
    assert patience.news(None) == "the cluster answers again"
    assert patience.news("x is gone", gave_up=True) == "x is gone; waiting up to 10 s (--patience)"
    with pytest.raises(ClusterLostError, match="x is gone, after 10 s of waiting"):
        patience.news("x is gone", gave_up=True)
    assert patience.news(None) == "the cluster answers again"
    assert patience.news("x is gone")
    now[0] = 28
    with pytest.raises(ClusterLostError, match="x is gone, after 10 s of waiting"):
        patience.news("x is gone")


def test_other_code_is_named_on_both_sides_and_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    from timbre_data.pipeline.build.connecting import refuse_other_code
    from timbre_data.pipeline.build.provenance import fingerprint

    refuse_other_code("w", dict(fingerprint()))
    with pytest.raises(ClusterLostError, match=r"w runs other code .*numpy 1\.0 there, .* here.*--allow-mixed"):
        refuse_other_code("w", fingerprint() | {"numpy": "1.0"})
    with pytest.raises(ClusterLostError, match="numpy none there"):
        refuse_other_code("w", {key: value for key, value in fingerprint().items() if key != "numpy"})


def test_workers_that_join_are_looked_at_and_those_before_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from timbre_data.pipeline.build.watching import ClusterWatch

    there = {"tcp://a": {"last_seen": 1.0}}
    asked: list[list[str]] = []
    client = SimpleNamespace(status="running")
    monkeypatch.setattr(watching, "workers_of", lambda client: dict(there))

    def joined(addresses: list[str]) -> None:
        asked.append(addresses)
        if "tcp://other" in addresses:
            raise ClusterLostError("tcp://other runs other code")

    with ClusterWatch(client, "tcp://scheduler", joined) as watch:
        for address in ("tcp://b", "tcp://other"):
            time.sleep(1.5)
            there[address] = {"last_seen": 1.0}
            assert watch.refused is None
        time.sleep(1.5)
        assert str(watch.refused) == "tcp://other runs other code"
    assert asked == [["tcp://b"], ["tcp://other"]]


def test_all_workers_are_seen_whatever_the_client_asks_meanwhile() -> None:
    """Dask's own client asks the scheduler every two seconds, here all the time, for everything but the workers."""
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.client.scheduler-info-interval": "1ms"}),
        LocalCluster(n_workers=7, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        assert {len(watching.workers_of(client)) for _ in range(100)} == {7}
        assert {len(watching.known_workers(client)) for _ in range(100)} == {7}
        assert watching.answers(client)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **options: str) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", "distributed.cli.dask_scheduler" if arguments[0] == "scheduler" else "distributed.cli.dask_worker"]  # fmt: skip
        process = subprocess.Popen(
            [*program, *arguments[1:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
            env=os.environ | options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def started_render(address: str, name: str, *more: str, rows: int = ROWS) -> subprocess.Popen[str]:
    words = [
        "render",
        "--fx",
        "reverb",
        "--n",
        str(rows),
        "--set",
        "audio.seconds=0.4",
        "--batch",
        "256",
        "--out",
        name,
    ]
    return subprocess.Popen(
        [*CLI, *words, "--scheduler", address, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TIMBRE_DATA_COMMIT_SECONDS": "0.5"},
    )


def wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, timeout="60s", set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def wait_for_rows(name: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.3)
        try:
            if Dataset(name).present().any():
                return
        except Exception:  # not yet
            continue
    raise AssertionError("no rows came")


@pytest.mark.slow  # starts a scheduler, workers and the command line
@pytest.mark.parametrize(
    ("victim", "how"),
    [
        ("scheduler", signal.SIGKILL),
        ("scheduler", signal.SIGSTOP),
        ("worker", signal.SIGKILL),
        ("worker", signal.SIGSTOP),
    ],
)
def test_a_lost_cluster_is_said_and_given_up_in_one_line(
    home: Path, processes: Callable[..., subprocess.Popen[bytes]], victim: str, how: signal.Signals
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    parts = {"scheduler": processes("scheduler", "--port", str(port), "--no-dashboard")}
    parts["worker"] = processes("worker", address, "--nthreads", "2", "--no-nanny", "--no-dashboard")
    wait_for_workers(address, 1)
    build_ = started_render(address, "d", "--patience", "2")
    assert build_.stderr
    wait_for_rows("d")
    begun = time.monotonic()
    parts[victim].send_signal(how)
    lines: list[tuple[float, str]] = [(time.monotonic() - begun, line) for line in build_.stderr]
    said = "".join(line for _, line in lines)
    out, _ = build_.communicate(timeout=60)
    assert build_.returncode == 1, said
    assert any(seconds < 15 for seconds, line in lines if "waiting up to 2 s" in line), lines
    assert lines[-1][0] < 25, lines
    assert out == ""
    assert "Traceback" not in said
    last = lines[-1][1]
    assert re.match(r"timbre-data: .*after 2 s of waiting.*Resume with: timbre-data render", last), said
    data = Dataset("d")
    assert data.version == "unfinished"
    assert 0 < data.present().sum() < ROWS


@pytest.mark.slow  # starts a scheduler, workers and the command line
def test_a_worker_that_joins_with_other_packages_is_refused(
    home: Path, tmp_path: Path, processes: Callable[..., subprocess.Popen[bytes]]
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    processes("scheduler", "--port", str(port), "--no-dashboard")
    processes("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
    wait_for_workers(address, 1)
    other = tmp_path / "other" / "numba-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numba\nVersion: 0.0.1\n")
    build_ = started_render(address, "d")
    wait_for_rows("d")
    processes("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", PYTHONPATH=str(other.parent))
    _out, said = build_.communicate(timeout=90)
    assert build_.returncode == 1, said
    assert re.search(r"runs other code than this client \(numba 0\.0\.1 there, [\d.]+ here\)", said), said
    data = Dataset("d")
    assert data.version == "unfinished"
    assert 0 < data.present().sum() < ROWS


@pytest.mark.slow  # starts a scheduler, workers and the command line
def test_a_scheduler_that_comes_back_in_time_is_used_again(
    home: Path, processes: Callable[..., subprocess.Popen[bytes]]
) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = processes("scheduler", "--port", str(port), "--no-dashboard")
    worker = processes("worker", address, "--nthreads", "2", "--no-nanny", "--no-dashboard")
    wait_for_workers(address, 1)
    build_ = started_render(address, "d", "--patience", "60", rows=6144)
    wait_for_rows("d")
    scheduler.kill()
    worker.kill()
    time.sleep(2)
    processes("scheduler", "--port", str(port), "--no-dashboard")
    processes("worker", address, "--nthreads", "2", "--no-nanny", "--no-dashboard")
    _, said = build_.communicate(timeout=240)
    assert build_.returncode == 0, said
    assert "the cluster answers again" in said
    data = Dataset("d")
    assert data.version == "1.0.0"
    recipe = data.recipe
    straight = build(recipe, "straight")
    assert np.array_equal(data.read(ROW_HASH), straight.read(ROW_HASH))


def test_an_error_of_a_task_arrives_whole() -> None:
    """Dask cuts the long ones that tasks raise, and makes them plain exceptions."""

    def fails(session: bytes, address: str, task: Any) -> Any:
        raise SourceError("folder", {f"{'very long ' * 100}{i}.wav": "silent" for i in range(100)})

    build(small_recipe(n=20), "d")
    with Writer(locate("d")) as writer, dask_client(Cluster(workers=1)) as client, pytest.raises(SourceError) as told:
        engine.run(
            client, Cluster(workers=1), writer, [engine.Task(0, 20)], fails, (), message="", progress=NoProgress()
        )
    assert len(told.value.failures) == 100
    assert len(str(told.value)) > 20_000


@pytest.mark.parametrize("stage_", ["render", "featurize"])
def test_a_version_whose_tag_was_prevented_gets_it(monkeypatch: pytest.MonkeyPatch, stage_: str) -> None:
    recipe = small_recipe(n=20)

    def make() -> None:
        if stage_ == "render":
            build(recipe, "d")
        else:
            featurizing.featurize(locate("d"), {"autofx163": {}}, Cluster(workers=1))

    if stage_ == "featurize":
        build(recipe, "d")

    def full(self: Writer, name: str, snapshot: str | None = None) -> None:
        raise BuildError("full")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "tag", full)
        with pytest.raises(BuildError):
            make()
    make()
    with Writer(locate("d")) as writer:
        version = Dataset("d").version
        assert writer.tags[-1] == f"v{version}"
        assert version == ("1.0.0" if stage_ == "render" else "1.1.0")


def test_features_whose_version_was_prevented_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    build(small_recipe(n=20), "d")

    def killed(*_: Any) -> str:
        raise BuildError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(featurizing, "new_version", killed)
        with pytest.raises(BuildError):
            featurizing.featurize(locate("d"), {"autofx163": {}}, Cluster(workers=1))
    assert Dataset("d").version == "1.0.0"
    (report,) = featurizing.featurize(locate("d"), {"autofx163": {}}, Cluster(workers=1))
    assert report.version == "1.1.0"
    assert not Dataset("d@v1.1.0").unfinished_features()
    (report,) = featurizing.featurize(locate("d"), {"autofx163": {}}, Cluster(workers=1))
    assert report.version == "1.1.0"


def test_a_folder_that_is_deleted_in_mid_build_is_one_error(home: Path) -> None:
    class Deletes(NoProgress):
        def advance(self, rows: int, rejected: int = 0) -> None:
            shutil.rmtree(home / "d", ignore_errors=True)

    with pytest.raises(TimbreDataError):
        build(small_recipe(n=1100), "d", cluster=Cluster(workers=1, batch=256), progress=Deletes())
    with suppress(CorruptDataError):  # what tasks wrote after it was deleted is no dataset
        build(small_recipe(n=1100), "d")
    shutil.rmtree(home / "d", ignore_errors=True)
    assert build(small_recipe(n=1100), "d").complete()


def test_stages_count_before_they_claim() -> None:
    data = build(small_recipe(n=20), "d")
    with Writer(locate("d")) as writer, pytest.raises(KeyError):
        stage.refuse_unfinished(writer, ["autofx163"])
    assert data.complete()
