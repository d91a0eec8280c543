"""Same seed, same bytes: for any number of workers, any batch size, any interruption, any growth."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Once, all_columns, build, small_recipe
from timbre_data.pipeline.build import featurizing, rendering
from timbre_data.pipeline.build.engine import Cluster, Task, tasks_for
from timbre_data.pipeline.store.reader import Dataset, open_if_there
from timbre_data.pipeline.store.verify import verify
from timbre_data.schemas.errors import CorruptDataError, UsageError

CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]
FEATURES: dict[str, dict[str, object]] = {"autofx163": {}, "autofx48": {}, "logmel": {}, "stft": {}}


def same(first: Dataset, second: Dataset) -> None:
    a, b = all_columns(first), all_columns(second)
    assert a.keys() == b.keys()
    for path in a:
        assert a[path].dtype == b[path].dtype
        assert (
            a[path].tobytes() == b[path].tobytes() if a[path].dtype.kind not in "OT" else (a[path] == b[path]).all()
        ), path


@pytest.fixture
def reference(once: Once) -> Dataset:
    def make(folder: Path) -> None:
        data = build(small_recipe(n=1100), str(folder), cluster=Cluster(workers=1, batch=1024))
        featurizing.featurize(data.location, FEATURES, Cluster(workers=1, batch=1024))

    return Dataset(str(once("determinism", make)))


@pytest.mark.parametrize(
    ("workers", "batch"), [(2, 256), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((4, 512), (3, None)))]
)
def test_any_workers_and_batch_size(reference: Dataset, workers: int, batch: int | None) -> None:
    cluster = Cluster(workers=workers, batch=batch)
    data = build(small_recipe(n=1100), "other", cluster=cluster)
    featurizing.featurize(data.location, FEATURES, cluster)
    same(Dataset("other"), reference)


def test_other_code_may_go_on_only_if_it_makes_the_same_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from timbre_data.pipeline.build import provenance
    from timbre_data.pipeline.effects import distortion

    build(small_recipe(n=40), "begun")
    monkeypatch.setattr(rendering, "provenance", lambda: provenance.provenance() | {"code": "another"})
    assert build(small_recipe(n=60), "begun").n == 60
    louder = dataclasses.replace(distortion.EFFECT, render=lambda dry, rate, values: np.float32(0.5) * dry)
    monkeypatch.setattr(distortion, "EFFECT", louder)
    monkeypatch.setattr(rendering, "provenance", lambda: provenance.provenance() | {"code": "a third"})
    with pytest.raises(UsageError, match="whose sounds differ"):
        build(small_recipe(n=80), "begun")
    assert Dataset("begun").n == 60


@pytest.mark.slow
def test_grown_in_steps(reference: Dataset) -> None:
    """Steps that end inside a chunk, and features made in between."""
    for n in (10, 300, 777, 1100):
        data = build(small_recipe(n=n), "grown")
        featurizing.featurize(data.location, FEATURES, Cluster(workers=2))
    same(Dataset("grown"), reference)
    assert verify(Dataset("grown")).whole
    assert Dataset("grown").version == "1.19.0"  # four sizes and sixteen feature runs


@pytest.mark.slow
def test_processes_of_a_cluster_make_the_same(reference: Dataset) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        # its workers compile beside other tests: as long as they need
        workers = Cluster(scheduler=cluster.scheduler_address, patience=600)
        data = build(small_recipe(n=1100), "clustered", cluster=workers)
        featurizing.featurize(data.location, FEATURES, workers)
    same(Dataset("clustered"), reference)


@pytest.mark.slow
def test_killed_again_and_again(home: Path) -> None:
    """kill -9 at random moments: every commit opens, nothing is lost, and the end is the same."""
    size = 6000
    arguments = ["render", "--fx", "delay", "--n", str(size), "--set", "audio.seconds=0.5", "--out"]
    environment = os.environ | {"TIMBRE_DATA_COMMIT_SECONDS": "0.1"}
    rng = np.random.default_rng(0)
    there, kills = 0, 0
    while kills < 12:
        process = subprocess.Popen(
            [*CLI, *arguments, "killed", "--batch", "256"],
            env=environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(float(rng.uniform(1.2, 2.6)))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        data = open_if_there("killed")
        now = int(data.present().sum()) if data else 0
        assert now >= there
        there = now
    assert kills >= 2
    subprocess.run([*CLI, *arguments, "killed"], check=True, capture_output=True)
    subprocess.run([*CLI, *arguments, "straight"], check=True, capture_output=True)
    assert verify(Dataset("killed")).whole
    same(Dataset("killed"), Dataset("straight"))


def _heeding_ctrl_c() -> None:
    """In the new process: Ctrl-C counts, though tests that run in the background were told to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_ctrl_c_commits_and_says_how_to_go_on(home: Path) -> None:
    arguments = [
        "render",
        "--fx",
        "delay",
        "--n",
        "20000",
        "--set",
        "audio.seconds=0.5",
        "--out",
        "stopped",
        "--batch",
        "256",
    ]
    process = subprocess.Popen(
        [*CLI, *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TIMBRE_DATA_COMMIT_SECONDS": "0.2"},
        preexec_fn=_heeding_ctrl_c,
    )
    for _ in range(400):
        time.sleep(0.05)
        try:
            data = open_if_there("stopped")
        except CorruptDataError:  # seen in the moment of its creation
            continue
        if data is not None and data.present().any():
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Resume with: timbre-data render --fx delay --n 20000" in said
    assert "Traceback" not in said
    assert 0 < Dataset("stopped").present().sum() < 20_000


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(home: Path) -> None:
    """Tasks of many minutes: the build is left in the middle of them, and what is there is whole."""
    arguments = [
        "render",
        "--fx",
        "reverb",
        "--n",
        "9000",
        "--set",
        "audio.seconds=8",
        "--batch",
        "2048",
        "--workers",
        "1",
        "--out",
        "stopped",
    ]
    subprocess.run(
        [*CLI, *["render", "--fx", "reverb", "--n", "300", "--set", "audio.seconds=8", "--out", "stopped"]], check=True
    )
    process = subprocess.Popen([*CLI, *arguments], stderr=subprocess.PIPE, text=True, preexec_fn=_heeding_ctrl_c)
    assert process.stderr
    while len(Dataset("stopped").present()) < 9000:
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    assert any("again to stop at once" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert time.monotonic() - begun < 12  # the task takes much longer
    assert "stopped at once; what was committed is safe. Resume with: timbre-data render" in said
    assert "Traceback" not in said
    left = Dataset("stopped")
    assert 300 <= left.present().sum() < 9000
    assert not verify(left).damaged


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["eq-any", "gm-instruments", "subtractive", "sung-phonemes"])
def test_every_process_makes_the_same_bytes(home: Path, recipe: str) -> None:
    """Whatever else has run in it: C's random numbers, which FluidSynth's dither used to be made of, and Python's
    hashes.
    """
    program = "import ctypes, sys; [ctypes.CDLL(None).rand() for _ in range(int(sys.argv.pop(1)))]; from timbre_data.cli import main; main()"
    for number in (0, 3):
        arguments = ["render", "--recipe", recipe, "--n", "24", "--set", "audio.seconds=0.5", "--out", f"made{number}"]
        subprocess.run(
            [sys.executable, "-c", program, str(number), *arguments],
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONHASHSEED": str(number)},
        )
    same(Dataset("made0"), Dataset("made3"))


def test_tasks_never_share_a_chunk() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        missing = np.flatnonzero(rng.random(5000) < rng.choice([0.001, 0.1, 0.9]))
        tasks = tasks_for(missing, int(rng.choice([256, 512, 1024])))
        assert set(missing) <= {row for task in tasks for row in range(task.start, task.stop)}
        chunks = [set(range(task.start // 256, (task.stop - 1) // 256 + 1)) for task in tasks]
        assert sum(map(len, chunks)) == len(set().union(*chunks)) if chunks else True
    assert tasks_for(np.arange(300, 1100), 512) == [Task(300, 512), Task(512, 1024), Task(1024, 1100)]
