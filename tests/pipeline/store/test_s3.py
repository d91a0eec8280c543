"""A dataset in object storage: the same code, against an S3 server of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import all_columns, build, small_recipe
from timbre_data.pipeline.build import featurizing
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.store import copying
from timbre_data.pipeline.store.exporting import export
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.shelf import datasets_in, size_of
from timbre_data.pipeline.store.task_session import TaskSession
from timbre_data.pipeline.store.verify import verify
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.errors import CorruptDataError, LockedError, NotFoundError

pytestmark = pytest.mark.slow


def moto_server() -> list[str]:
    """The program of an S3 server."""
    return [shutil.which("moto_server") or str(Path(sys.executable).with_name("moto_server"))]


def credentials(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let everything here use a server of the test's own."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


def made_bucket(endpoint: str) -> str:
    """Wait for a server, and make a bucket there."""
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint)
    for attempt in range(60):
        try:
            client.create_bucket(Bucket="sounds")
            break
        except Exception:
            if attempt == 59:
                raise
            time.sleep(0.25)
    return "s3://sounds"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket on a server of this test, on the loopback address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([*moto_server(), "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    credentials(monkeypatch, f"http://127.0.0.1:{port}")
    yield made_bucket(f"http://127.0.0.1:{port}")
    server.kill()
    server.wait()


@pytest.mark.filterwarnings("ignore")  # botocore's own deprecations are not ours to mend
def test_render_featurize_read_verify_and_grow_on_s3(bucket: str) -> None:
    address = f"{bucket}/team/delay"
    with pytest.raises(NotFoundError):
        Dataset(address)
    build(small_recipe("delay", n=200), address)
    featurizing.featurize(locate(address), {"autofx163": {}}, Cluster(workers=2))
    build(small_recipe("delay", n=300), address)
    featurizing.featurize(locate(address), {"autofx163": {}}, Cluster(workers=2))
    remote = Dataset(address)
    assert verify(remote).whole
    local = build(small_recipe("delay", n=300), "local")
    featurizing.featurize(local.location, {"autofx163": {}}, Cluster(workers=2))
    expected = all_columns(Dataset("local"))
    assert all(
        (values == expected[path]).all() for path, values in all_columns(remote).items() if values.dtype.kind != "f"
    )
    assert Dataset(f"{address}@v1.0.0").n == 200


@pytest.mark.filterwarnings("ignore")
def test_the_later_of_two_writers_on_s3_is_told(bucket: str) -> None:
    import numpy as np

    address = f"{bucket}/delay"
    build(small_recipe("delay", n=64), address)
    with Writer(locate(address)) as first, Writer(locate(address)) as second:
        for writer in (first, second):
            task = TaskSession(writer.task_session(), address)
            task.write(0, {"gain": np.ones(64, np.float32)})
            writer.merge(task.close())
        first.commit("first")
        with pytest.raises(LockedError, match="another writer"):
            second.commit("second")
    assert os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1")


def test_a_dataset_travels_to_object_storage_and_back(bucket: str, home: Path, command: Callable[..., int]) -> None:
    here = build(small_recipe("delay", n=70), "d")
    there = f"{bucket}/shared/d"
    first = copying.copy(here.location, locate(there), NoProgress())
    assert first.digest == here.digest() == Dataset(there).digest()
    assert copying.copy(here.location, locate(there), NoProgress()).sent == 0
    grown = build(small_recipe("delay", n=400), there)
    digest = grown.digest()
    assert digest != here.digest()
    back = copying.copy(locate(there), here.location, NoProgress())
    assert back.there_already > 0
    assert Dataset("d").digest() == digest
    assert verify(Dataset("d")).whole
    assert sorted(datasets_in(f"{bucket}/shared")) == [there]
    assert size_of(locate(there)) > 400 * 8000
    assert command("dataset", "list", f"{bucket}/shared") == 0
    inside = f"{there}/inside"
    copying.copy(here.location, locate(inside), NoProgress())
    assert command("dataset", "rename", there, f"{bucket}/shared/e") == 0
    assert Dataset(inside).digest() == digest
    assert command("dataset", "rm", inside, "--yes") == 0
    assert datasets_in(f"{bucket}/shared") == [f"{bucket}/shared/e"]
    assert Dataset(f"{bucket}/shared/e").digest() == digest
    assert command("dataset", "rm", f"{bucket}/shared/e", "--yes") == 0
    assert datasets_in(f"{bucket}/shared") == []


def test_an_export_in_object_storage_opens(bucket: str, tmp_path: Path) -> None:
    import boto3

    data = build(small_recipe("delay", n=70), "d")
    export(data, tmp_path / "out", "zarr")
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            client.upload_file(str(path), "sounds", f"out/{path.relative_to(tmp_path / 'out').as_posix()}")
    for address in (f"{bucket}/out", f"{bucket}/out/data.zarr"):
        exported = Dataset(address)
        assert exported.digest() == data.digest()
        assert verify(exported).whole
    client.delete_object(Bucket="sounds", Key="out/data.zarr/audio/c/0/0/0")
    with pytest.raises(CorruptDataError, match=r"1 of its .* files are missing"):
        Dataset(f"{bucket}/out")


def test_a_copy_to_where_nothing_can_be_written_is_one_line(
    bucket: str, home: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    build(small_recipe("delay", n=20), "d")
    capsys.readouterr()
    assert command("dataset", "copy", "d", "s3://nowhere/d") == 1
    assert command("dataset", "list", "s3://nowhere") == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.count("check the bucket's name") == 2
