"""Several machines and an object store: hosts on networks of their own, which share nothing but the store."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import build, same_bytes, small_recipe
from tests.pipeline.build.test_clusters import wait_for_workers
from tests.pipeline.store.test_s3 import credentials, made_bucket, moto_server
from timbre_data.pipeline.build import rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.repository import PARTS, open_repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Tests in several processes have networks of their own."""
BRIDGE = f"timbre{PROCESS}"
NET = f"10.77.{31 + PROCESS}"
S3_PORT = 9321
IP = shutil.which("ip") or "/usr/sbin/ip"


def ip(*words: str) -> None:
    """Run `ip` of iproute2."""
    subprocess.run([IP, *words], check=True, capture_output=True)


@dataclass
class Hosts:
    """Hosts in network namespaces, on a bridge with this process: what runs on one reaches others by the network
    only, and has a home and temporary folder of its own.
    """

    folder: Path
    names: tuple[str, ...] = ("store", "one", "two", "three")
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def address(self, name: str) -> str:
        """The address of a host."""
        return f"{NET}.{10 + self.names.index(name)}"

    def start(self, host: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program on a host."""
        home = self.folder / host
        home.mkdir(exist_ok=True)
        own = {"TIMBRE_DATA_HOME": str(home / "datasets"), "TMPDIR": str(home)}
        with (home / "said").open("ab") as said:
            process = subprocess.Popen(
                [IP, "netns", "exec", f"{BRIDGE}-{host}", *words],
                cwd=home,
                env=os.environ | own | environment,
                stdout=said,
                stderr=said,
            )
        self.started.append(process)
        return process

    def run(self, host: str, *words: str) -> int:
        """Run timbre-data on a host; its exit code."""
        return self.start(host, *CLI, *words).wait(timeout=200)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Four hosts and a bridge; skipped where the system does not allow them."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("network namespaces need Linux and root")
    hosts = Hosts(tmp_path)
    remove(hosts)
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("netns", "add", f"{BRIDGE}-{hosts.names[0]}")
    except (OSError, subprocess.CalledProcessError) as error:
        remove(hosts)
        pytest.skip(f"network namespaces cannot be made here: {getattr(error, 'stderr', error)}")
    try:
        ip("addr", "add", f"{NET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, name in enumerate(hosts.names):
            if number:
                ip("netns", "add", f"{BRIDGE}-{name}")
            ip("link", "add", f"{BRIDGE}v{number}", "type", "veth", "peer", "name", "eth0", "netns", f"{BRIDGE}-{name}")
            ip("link", "set", f"{BRIDGE}v{number}", "master", BRIDGE, "up")
            ip("-n", f"{BRIDGE}-{name}", "addr", "add", f"{hosts.address(name)}/24", "dev", "eth0")
            ip("-n", f"{BRIDGE}-{name}", "link", "set", "eth0", "up")
            ip("-n", f"{BRIDGE}-{name}", "link", "set", "lo", "up")
        yield hosts
    finally:
        for process in hosts.started:
            process.kill()
            process.wait()
        remove(hosts)


def remove(hosts: Hosts) -> None:
    """Remove what is left of the hosts."""
    for words in (*(("netns", "del", f"{BRIDGE}-{name}") for name in hosts.names), ("link", "del", BRIDGE)):
        subprocess.run([IP, *words], capture_output=True)


@pytest.fixture
def bucket(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket on the host "store"."""
    endpoint = f"http://{hosts.address('store')}:{S3_PORT}"
    credentials(monkeypatch, endpoint)
    hosts.start("store", *moto_server(), "-H", "0.0.0.0", "-p", str(S3_PORT))
    return made_bucket(endpoint)


@pytest.mark.filterwarnings("ignore")
def test_ten_thousand_rows_travel_and_grow_on_two_hosts_of_which_one_is_killed(
    hosts: Hosts, bucket: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = small_recipe("distortion", **{"n": 10_000, "audio.seconds": 0.1})
    build(recipe.model_copy(update={"n": 6_000}), "d")
    there = f"{bucket}/shared/d"
    assert command("dataset", "copy", "d", there) == 0
    words = ("render", "--from", there, "--n", "10000", "--out", there, "--workers", "1", "--batch", "256")
    slow = hosts.start("two", *CLI, *words, "--part", "2/2", TIMBRE_DATA_COMMIT_SECONDS="0")
    killed_after = wait_for_a_commit(there, slow)
    slow.send_signal(signal.SIGKILL)
    slow.wait()
    assert killed_after >= 1
    assert hosts.run("one", *words, "--part", "1/2") == 0
    assert Dataset(there).n == 6_000  # as it was, for everybody else
    assert hosts.run("three", "dataset", "finish", there) == 1
    assert "missing are 2/2" in (hosts.folder / "three" / "said").read_text()
    assert hosts.run("three", *words, "--part", "2/2") == 0  # goes on where the other host was killed
    assert command("dataset", "copy", there, "d") == 0
    capsys.readouterr()
    assert command("dataset", "diff", "d@v1.0.0", "d") == 1
    assert "rows: 6000 -> 10000 (4000 added), 6000 equal" in capsys.readouterr().out
    assert command("dataset", "verify", "d", "--rerender", "64") == 0
    assert "64 of 64 re-rendered rows are bit-equal" in capsys.readouterr().out
    assert same_bytes(build(recipe, "one-go"), Dataset("d"))


def wait_for_a_commit(address: str, process: subprocess.Popen[bytes]) -> int:
    """Wait until a part has committed rows. Returns the number of its commits."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "it has finished before it could be killed"
        repo = open_repository(locate(address))
        if PARTS in repo.list_branches():
            commits = sum(info.message.endswith(" rows") and info.message[0].isdigit() for info in repo.ancestry(branch=PARTS))  # fmt: skip
            before = sum(info.message.endswith(" rows") and info.message[0].isdigit() for info in repo.ancestry(branch="main"))  # fmt: skip
            if commits > before:
                return commits - before
        time.sleep(0.1)
    raise AssertionError("no commit within two minutes")


@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_of_hosts_makes_the_same_bytes_and_shows_itself(hosts: Hosts, bucket: str) -> None:
    scheduler = f"tcp://{hosts.address('one')}:8786"
    quiet = {"DASK_LOGGING__DISTRIBUTED": "error"}
    program = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    hosts.start(
        "one", *program, "--host", hosts.address("one"), "--port", "8786", "--dashboard-address", ":8787", **quiet
    )
    for name in ("two", "three"):
        words = ("--nthreads", "1", "--no-nanny", "--host", hosts.address(name), "--no-dashboard")
        hosts.start(name, sys.executable, "-m", "distributed.cli.dask_worker", scheduler, *words, **quiet)
    wait_for_workers(scheduler, 2)
    recipe = small_recipe("delay", **{"n": 3_000, "audio.seconds": 0.1})
    address = f"{bucket}/cluster"
    report = rendering.render(recipe, locate(address), Cluster(scheduler=scheduler))
    assert report.version == "1.0.0"
    assert same_bytes(build(recipe, "here"), Dataset(address))
    with urllib.request.urlopen(f"http://{hosts.address('one')}:8787/status", timeout=20) as page:
        shown = page.read().decode()
    assert page.status == 200
    assert "bokeh" in shown.lower()
    assert "needs bokeh" not in shown
