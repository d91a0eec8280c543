"""The traps of the store, each shown to be closed."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.conftest import build, small_recipe
from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.chunks import encoded
from timbre_data.pipeline.store.columns import AUDIO_CHUNK
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset, open_if_there
from timbre_data.pipeline.store.repository import BRANCH
from timbre_data.pipeline.store.task_session import TaskSession
from timbre_data.pipeline.store.verify import verify
from timbre_data.pipeline.store.versions import collect_garbage
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.errors import BuildError, CorruptDataError, LockedError, NotFoundError, UsageError

CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]


@pytest.fixture
def data(render: Callable[..., Dataset]) -> Dataset:
    return render("distortion", "d", n=200)


def chunk_files(data: Dataset) -> list[Path]:
    """Files of audio chunks: the largest ones."""
    return sorted((data.location.folder / "store" / "chunks").iterdir(), key=lambda path: path.stat().st_size)[-3:]


def test_a_second_writer_is_told_who_is_writing(data: Dataset) -> None:
    with (
        Writer(data.location),
        pytest.raises(LockedError, match=f"by process {os.getpid()}") as caught,
        Writer(data.location),
    ):
        pass
    assert caught.value.exit_code == 4
    with Writer(data.location):
        pass


@pytest.mark.slow
def test_two_commands_at_once_lose_nothing(home: Path) -> None:
    """Both start together; one of them waits its turn or is refused with 4, and every row is there once it is run
    again.
    """
    command = [*CLI, "render", "--fx", "delay", "--n", "2000", "--set", "audio.seconds=0.4", "--out", "both"]
    pair = [subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(2)]
    codes = sorted(process.wait() for process in pair)
    assert codes in ([0, 4], [0, 0])
    assert verify(Dataset("both")).whole


def test_a_dataset_appears_all_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks while another process creates it, or after a kill in the midst of that, finds nothing yet."""
    location = locate("new")

    def look(*ignored: object) -> None:
        assert open_if_there(location.address) is None
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", look)
        with pytest.raises(KeyboardInterrupt), Writer(location, create=True):
            pass
    assert open_if_there(location.address) is None
    build(small_recipe(n=10), "new")
    assert verify(Dataset("new")).whole


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_found_and_named(data: Dataset, position: float) -> None:
    path = chunk_files(data)[-1]
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 0x10
    path.write_bytes(content)
    verdict = verify(Dataset("d"))
    assert not verdict.whole
    (damaged,) = verdict.damaged.values()
    assert len(damaged) == AUDIO_CHUNK
    array = {"rows": "audio", "dry": "dry/audio"}[next(iter(verdict.damaged))]
    with pytest.raises(CorruptDataError, match=f"{array}, rows"):
        Dataset("d").read(array)


def test_every_single_bit_of_a_small_chunk_matters(data: Dataset) -> None:
    """Flip bits all over an array's chunk and read it: never a wrong value without an error."""
    array = data.array("gain")
    good = encoded(array, np.zeros(array.chunks[0], np.float32) + 0.5)
    rng = np.random.default_rng(0)
    for bit in rng.choice(len(good) * 8, 60, replace=False):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << (bit % 8)
        memory = zarr.storage.MemoryStore()
        copy = zarr.create_array(
            memory,
            shape=array.shape,
            chunks=array.chunks,
            dtype="float32",
            compressors=layout.compressors("float32", "fast"),
        )
        from zarr.core.buffer import cpu
        from zarr.core.sync import sync

        sync(memory.set("c/0", cpu.Buffer.from_bytes(bytes(bad))))
        with pytest.raises((ValueError, RuntimeError)):
            np.asarray(copy[:])


def test_a_missing_file_is_an_error_not_silence(data: Dataset) -> None:
    chunk_files(data)[-1].unlink()
    verdict = verify(Dataset("d"))
    assert sum(map(len, verdict.damaged.values())) == AUDIO_CHUNK


def test_a_chunk_that_was_never_written_is_not_taken_for_silence(data: Dataset) -> None:
    """Zarr reads a missing chunk as zeros; the hashes know better."""
    with Writer(data.location) as writer:
        root = writer.root()
        zarr.core.sync.sync(root.store.delete("audio/c/1/0/0"))
        writer.commit("lost a chunk")
    assert (Dataset("d").audio(slice(64, 128)) == 0).all()
    assert verify(Dataset("d")).damaged == {"rows": list(range(64, 128))}


def test_rows_that_were_never_made_are_missing(data: Dataset) -> None:
    with Writer(data.location) as writer:
        array: Any = writer.root()["integrity/rows"]
        array[100:110] = 0
        writer.commit("lost bookkeeping")
    assert verify(Dataset("d")).missing == {"rows": list(range(100, 110))}
    assert not Dataset("d").complete()
    build(small_recipe(n=200), "d")
    assert verify(Dataset("d")).whole


def test_damaged_metadata_is_an_error_of_ours(data: Dataset) -> None:
    for path in (data.location.folder / "store" / "snapshots").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptDataError):
        Dataset("d")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let tests mount a disk")
    try:
        command = [
            *CLI,
            "render",
            "--fx",
            "delay",
            "--n",
            "2400",
            "--set",
            "audio.seconds=0.7",
            "--batch",
            "256",
            "--out",
            str(disk / "d"),
        ]
        environment = os.environ | {"TIMBRE_DATA_COMMIT_SECONDS": "0.1"}
        full = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert full.returncode == 1, full.stderr
        last = full.stderr.strip().splitlines()[-1]
        assert "is full" in last
        assert "Traceback" not in full.stderr
        there = int(Dataset(str(disk / "d")).present().sum())
        assert 0 < there < 2400
        subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
        subprocess.run(command, check=True, capture_output=True)
        data = Dataset(str(disk / "d"))
        assert data.complete()
        assert verify(data).whole
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_a_build_that_cannot_fit_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="GB free"):
        build(small_recipe(n=10**10), str(tmp_path / "huge"))
    assert not (tmp_path / "huge").exists()


def _touch(name: str, answer: Any) -> None:
    try:
        Dataset(name).audio(0)
        answer.put("read")
    except BuildError as error:
        answer.put(str(error))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("fork", "Icechunk does not survive"),
        ("spawn", "read"),
        pytest.param("forkserver", "read", marks=pytest.mark.slow),
    ],  # which imports everything again
)
def test_a_forked_child_gets_an_error_instead_of_hanging(data: Dataset, method: str, expected: str) -> None:
    context: Any = multiprocessing.get_context(method)
    answer = context.Queue()
    child = context.Process(target=_touch, args=("d", answer))
    child.start()
    assert expected in answer.get(timeout=60)
    child.join(timeout=10)


def test_an_open_dataset_refuses_to_work_in_a_forked_child(data: Dataset) -> None:
    script = """
        import os
        from timbre_data.pipeline.store.reader import Dataset, open_if_there
        from timbre_data.schemas.errors import BuildError
        data = Dataset("d")
        data.audio(0)
        if os.fork() == 0:
            try:
                data.audio(1)
            except BuildError:
                os._exit(7)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "7", done.stderr


def test_our_chunks_are_byte_for_byte_what_zarr_writes(data: Dataset) -> None:
    """Tasks encode whole chunks themselves; any Zarr reader must find them as its own."""
    values = {
        "params": np.random.default_rng(0).random((256, 7), np.float32),
        "failed": np.arange(256) % 3 == 0,
        "dry/index": np.arange(256, dtype=np.int32),
    }
    for path, value in values.items():
        array = data.array(path)
        memory = zarr.storage.MemoryStore()
        copy = zarr.create_array(
            memory,
            shape=value.shape,
            chunks=value.shape,
            dtype=value.dtype,
            compressors=layout.compressors(str(value.dtype), "fast"),
        )
        copy[:] = value
        key = "c/" + "/".join("0" for _ in value.shape)
        assert bytes(memory._store_dict[key].to_bytes()) == encoded(array, value), path


def test_a_task_that_covers_parts_of_chunks_keeps_the_rest(data: Dataset) -> None:
    before = data.read("gain")
    with Writer(data.location) as writer:
        task = TaskSession(writer.task_session(), data.location.address)
        task.write(100, {"gain": np.full(50, 9, np.float32)})
        writer.merge(task.close())
        writer.commit("some gains")
    after = Dataset("d").read("gain")
    assert (after[100:150] == 9).all()
    assert np.array_equal(np.delete(after, slice(100, 150)), np.delete(before, slice(100, 150)))


def test_a_late_task_merges_into_a_later_commit(data: Dataset) -> None:
    """No task waits for a commit: one forked before it merges after it."""
    with Writer(data.location) as writer:
        sessions = [TaskSession(writer.task_session(), data.location.address) for _ in range(2)]
        sessions[0].write(0, {"audio": np.full((64, *data.array("audio").shape[1:]), 1, np.int16)})
        writer.merge(sessions[0].close())
        writer.commit("first")
        sessions[1].write(64, {"audio": np.full((64, *data.array("audio").shape[1:]), 2, np.int16)})
        writer.merge(sessions[1].close())
        writer.commit("second")
    assert (Dataset("d").read("audio", slice(0, 64)) == 1).all()
    assert (Dataset("d").read("audio", slice(64, 128)) == 2).all()


def test_a_repository_whose_creation_was_killed_can_be_begun_again(home: Path) -> None:
    from timbre_data.pipeline.store.repository import create

    create(locate("d"))
    with pytest.raises(NotFoundError, match="is empty: render it"):
        Dataset("d")
    assert build(small_recipe(n=10), "d").complete()


def test_another_recipe_under_the_same_name_is_refused(data: Dataset) -> None:
    with pytest.raises(UsageError, match="seed is 0, asked 5"):
        build(small_recipe(n=200, seed=5), "d")
    with pytest.raises(UsageError, match="drive_db"):
        build(small_recipe(n=200, **dict[str, Any]({"chain.0.parameters.drive_db": 5})), "d")


def test_other_feature_settings_under_the_same_name_are_refused(data: Dataset) -> None:
    featurizing.featurize(data.location, {"logmel": {"n_mels": 40}}, Cluster(workers=2))
    (report,) = featurizing.featurize(data.location, {"logmel": {"n_mels": 40}}, Cluster(workers=2))
    assert report.rows == 0
    with pytest.raises(UsageError, match="'n_mels': 40"):
        featurizing.featurize(data.location, {"logmel": {}}, Cluster(workers=2))


def test_old_versions_stay_readable(data: Dataset) -> None:
    build(small_recipe(n=260), "d")
    old, new = Dataset("d@v1.0.0"), Dataset("d")
    assert (old.n, new.n) == (200, 260)
    assert old.snapshot == data.snapshot
    assert np.array_equal(old.read("audio"), new.read("audio", slice(0, 200)))
    assert Dataset(f"d@{data.snapshot[:8]}").n == 200
    with pytest.raises(NotFoundError, match=r"Tags: v1\.0\.0, v1\.1\.0"):
        Dataset("d@v7")


def test_history_is_linear_and_locked_writers_leave_no_commit(data: Dataset) -> None:
    from timbre_data.pipeline.store.repository import open_repository

    before = len(list(open_repository(data.location).ancestry(branch=BRANCH)))
    start = time.monotonic()
    build(small_recipe(n=200), "d")
    assert time.monotonic() - start < 60
    assert len(list(open_repository(data.location).ancestry(branch=BRANCH))) == before


def test_garbage_collection_keeps_out_of_a_writers_way_and_loses_nothing(data: Dataset) -> None:
    with Writer(data.location), pytest.raises(LockedError):
        collect_garbage(data.location, 24)
    with pytest.raises(UsageError, match="too young"):
        collect_garbage(data.location, 0.1)
    with Writer(data.location) as writer:  # a build that was killed: chunks written, never committed
        task = TaskSession(writer.task_session(), data.location.address)
        task.write(0, {"audio": np.full((64, *data.array("audio").shape[1:]), 5, np.int16)})
        task.close()
    files = list((data.location.folder / "store" / "chunks").iterdir())
    assert collect_garbage(data.location, 24)["chunks"] == 0
    assert len(list((data.location.folder / "store" / "chunks").iterdir())) == len(files)
    with Writer(data.location) as writer:  # as if a day had passed
        assert writer.collect_garbage(datetime.now(UTC) + timedelta(hours=1))["chunks"] >= 1
    assert verify(Dataset("d")).whole
    assert Dataset("d@v1.0.0").n == 200
