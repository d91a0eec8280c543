"""Faults: every stage is struck by every fault, and one judgement holds for all of them.

The right exit code, one line, no claim without its data, and the same command ends with the bytes of a run that nothing
disturbed. A sample is among the slow tests; `scripts/faults` goes through the whole list.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.faults.forking import Command, preload
from tests.faults.stages import STAGES, Stage, content, environment, left_by, start, tags
from tests.fixtures import irmas
from tests.pipeline.build.test_clusters import wait_for_workers
from tests.pipeline.synths.test_capture import alive, family, wait_until_gone
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.verify import verify
from timbre_data.schemas.errors import TimbreDataError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("gcc"), reason="needs Linux and gcc"),
]
SAMPLE = int(os.environ.get("TIMBRE_DATA_FAULTS", "8"))
"""How many of the combinations run; 0 for all."""
MOMENTS = (0.1, 0.5, 0.9)
"""When a fault strikes, as a part of all the writes that the command makes."""
SECONDS = 150.0
LEFT_BEHIND = ("*.partial*", "*.new", "store.incomplete", "*.incomplete")


@dataclass(frozen=True)
class Fault:
    """What happens at one of a command's writes, and the exit codes that are right then.

    `does` is "enospc" or "erofs" (writes fail from there on), or a signal for the `victim`. Where the fault cannot be
    survived, 0 is right only for a command that had nothing left to lose.
    """

    does: str | signal.Signals
    codes: tuple[int, ...]
    victim: str = "client"

    def __str__(self) -> str:
        how = self.does.name if isinstance(self.does, signal.Signals) else self.does
        return f"{self.victim}-{how}"


FULL = Fault("enospc", (0, 1))
READ_ONLY = Fault("erofs", (0, 1, 2))
KILLED = Fault(signal.SIGKILL, (0, -9))  # 0 where it had made its last write before
CLIENT = (
    FULL,
    READ_ONLY,
    KILLED,
    *(Fault(one, (0, 130)) for one in (signal.SIGTERM, signal.SIGHUP)),
    Fault(signal.SIGSTOP, (0,)),
)
CLUSTER = tuple(
    Fault(one, (0, 1), victim)
    for victim in ("scheduler", "worker")
    for one in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSTOP)
)
PLAYERS = tuple(
    Fault(one, (0,), victim)
    for victim in ("synth", "jackd", "host")
    for one in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSTOP)
)
TAG_TO_COME = re.compile(r"the tag v\d+\.\d+\.\d+ is lost: repeat the command")
"""What `verify` says of a version whose command was ended between its commit and its tag: whole, and tagged by the same
command.
"""
DAMAGES = ("lost", "cut", "flipped")
OBJECTS = ("snapshots", "manifests", "chunks", "transactions", "refs")


@dataclass(frozen=True)
class Case:
    """One combination. `other_tmp`: temporary files are on another file system than the work."""

    stage: str
    fault: Fault
    moment: float
    other_tmp: bool = False

    def __str__(self) -> str:
        return f"{self.stage}-{self.fault}-{self.moment}" + ("-other_tmp" if self.other_tmp else "")


STRUCK = [name for name, stage in STAGES.items() if stage.struck]
CASES = (
    *(Case(name, fault, moment) for name in STRUCK for fault in CLIENT for moment in MOMENTS),
    *(Case(name, fault, moment, True) for name in STRUCK for fault in (KILLED, FULL) for moment in (0.5, 0.9)),
    *(Case(stage.name, fault, 0.5) for stage in STAGES.values() if stage.clusters for fault in CLUSTER),
    *(Case(stage.name, fault, m) for stage in STAGES.values() if stage.plays for fault in PLAYERS for m in (0.6, 0.8)),
)
DAMAGED = tuple(
    (name, what, how)
    for name in STRUCK
    if STAGES[name].needs
    for what in OBJECTS
    for how in DAMAGES
    if (name, what, how) != ("part", "refs", "lost")
)  # a branch that is lost is as one that never was: parts are missing


def sample(cases: tuple[Any, ...], share: float) -> list[Any]:
    """Cases to run: all, or so many of `SAMPLE`, spread over the list."""
    count = len(cases) if not SAMPLE else max(1, round(SAMPLE * share))
    return [cases[(2 * i + 1) * len(cases) // (2 * count)] for i in range(count)]


@dataclass(eq=False)
class Bench:
    """What the cases share: a tree to import, and stages that nothing disturbed."""

    folder: Path
    irmas: Path

    def prepared(self, stage: Stage, folder: Path) -> Path:
        """A folder in which everything is done that a stage needs."""
        if stage.needs:
            shutil.copytree(self.done(stage.needs), folder, symlinks=True)
        else:
            folder.mkdir(parents=True)
        return folder

    @cache  # noqa: B019  # as long as the module
    def done(self, names: tuple[str, ...]) -> Path:
        """A folder in which these stages were done, one after another."""
        folder = self.folder / "-".join(names)
        if len(names) > 1:
            shutil.copytree(self.done(names[:-1]), folder)
        folder.mkdir(parents=True, exist_ok=True)
        process = start(STAGES[names[-1]], folder, self.irmas)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
        return folder

    @cache  # noqa: B019  # as long as the module
    def reference(self, name: str) -> tuple[dict[str, str], int]:
        """What a stage leaves when nothing disturbs it, and how many writes it makes."""
        stage = STAGES[name]
        folder = self.prepared(stage, self.folder / f"reference-{name}")
        counter = self.counter(folder)
        process = start(stage, folder, self.irmas, **self.faulty(folder, counter, "nothing", 0))
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
        return left_by(folder), int.from_bytes(counter.read_bytes(), "little")

    def counter(self, folder: Path) -> Path:
        """An empty counter of writes."""
        file = folder.with_name(f"{folder.name}.count")
        file.write_bytes(bytes(8))
        return file

    def faulty(self, folder: Path, counter: Path, what: str, at: int) -> dict[str, str]:
        """The environment in which a command's disk below `folder` fails."""
        return {
            "FAULT_UNDER": f"{folder}/",
            "FAULT_COUNT": str(counter),
            "FAULT_DO": what,
            "FAULT_AT": str(at),
        }


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("faults")
    disk = folder / "faulty_disk.so"
    source = Path(__file__).with_name("faulty_disk.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", str(source), "-o", str(disk), "-ldl"], check=True)
    irmas.make(folder / "irmas")
    preload(disk)
    return Bench(folder, folder / "irmas")


@pytest.mark.parametrize("case", sample(CASES, 0.7), ids=str)
def test_a_fault_costs_nothing_that_was_done(bench: Bench, tmp_path: Path, case: Case) -> None:
    stage = STAGES[case.stage]
    expected, writes = bench.reference(case.stage)
    folder = bench.prepared(stage, tmp_path / "work")
    at = max(1, round(case.moment * writes))
    with cluster(case, folder) as (words, parts), temporary(case) as more:
        what = case.fault.does if isinstance(case.fault.does, str) else "stop"
        begun = start(
            stage, folder, bench.irmas, *words, **bench.faulty(folder, bench.counter(folder), what, at), **more
        )
        everyone = strike(begun, case, parts) if what == "stop" else {}
        out, said = begun.communicate(timeout=SECONDS)
    problems = judged(case, begun.returncode, out, said)
    problems += claims(folder)
    problems += [f"still runs: {left}" for left in [wait_until_gone(everyone)] if left]
    again = None if begun.returncode == 0 and (folder / "out").exists() else start(stage, folder, bench.irmas)
    said_again = again.communicate(timeout=SECONDS)[1] if again else ""
    if again and again.returncode:
        problems.append(f"again: exit code {again.returncode}: {said_again.strip()[-300:]}")
    else:
        now = left_by(folder)
        problems += [f"again: {name} differs" for name in sorted(expected | now) if expected.get(name) != now.get(name)]
    problems += [f"left behind: {one.relative_to(folder)}" for like in LEFT_BEHIND for one in folder.rglob(like)]
    record(str(case), problems, said)


def record(case: str, problems: list[str], said: str) -> None:
    """Fail for what is wrong; where `TIMBRE_DATA_FAULTS_LOG` names a file, note there what was seen."""
    if log := os.environ.get("TIMBRE_DATA_FAULTS_LOG"):
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"case": case, "problems": problems, "said": said[-400:]}) + "\n")
    assert not problems, (problems, said[-1500:])


def strike(begun: Command, case: Case, parts: dict[str, subprocess.Popen[bytes]]) -> dict[int, str]:
    """Wait until the command has come to its moment and stopped itself; do what is to be done, and let it go on.
    Returns the processes that have to be gone afterwards.
    """
    deadline = time.monotonic() + SECONDS
    while begun.poll() is None and not stopped(begun.pid):
        assert time.monotonic() < deadline, "it never came to that write"
        time.sleep(0.02)
    if begun.poll() is not None:
        return {}
    below = family(begun.pid)
    assert isinstance(case.fault.does, signal.Signals)
    for victim in victims(begun, case, parts, below):
        os.kill(victim, case.fault.does)
    if case.fault.does == signal.SIGSTOP and case.fault.victim == "client":
        time.sleep(1)
    os.kill(begun.pid, signal.SIGCONT)
    return below


def victims(begun: Command, case: Case, parts: dict[str, subprocess.Popen[bytes]], below: dict[int, str]) -> list[int]:
    if case.fault.victim == "client":
        return [begun.pid]
    if case.fault.victim in parts:
        return [parts[case.fault.victim].pid]
    name = STAGES[case.stage].plays if case.fault.victim == "synth" else case.fault.victim
    if name == "host":
        found = [pid for pid in below if b"hosting.server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    else:
        found = [pid for pid, program in alive(below).items() if program.startswith(name)]
    if not found:
        os.kill(begun.pid, signal.SIGKILL)
        pytest.skip("no synth was playing at that moment")
    return found


def stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    except OSError:
        return False


@contextmanager
def temporary(case: Case) -> Iterator[dict[str, str]]:
    """The environment with temporary files elsewhere, where a case asks for that."""
    if not case.other_tmp:
        yield {}
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        yield {"TMPDIR": elsewhere}


@contextmanager
def cluster(case: Case, folder: Path) -> Iterator[tuple[list[str], dict[str, subprocess.Popen[bytes]]]]:
    """The options of a command that runs on a cluster, and its processes, where a fault is to strike one."""
    if case.fault.victim not in ("scheduler", "worker"):
        yield [], {}
        return
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    starting: dict[str, list[str]] = {
        "scheduler": ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        "worker": ["distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"],
    }
    parts: dict[str, subprocess.Popen[bytes]] = {}
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        for name, words in starting.items():
            parts[name] = subprocess.Popen([sys.executable, "-m", *words], cwd=folder, env=environment(folder), **quiet)
        wait_for_workers(address, 1)
        yield ["--scheduler", address, "--patience", "3"], parts
    finally:
        for process in parts.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def judged(case: Case, code: int, out: str, said: str) -> list[str]:
    """What is wrong with how a struck command ended."""
    problems = []
    if code not in case.fault.codes:
        problems.append(f"exit code {code}")
    if "Traceback" in out + said or "This is a defect" in said:
        problems.append("traceback")
    last = said.strip().splitlines()[-1:] or [""]
    if code > 0 and not last[0].startswith("timbre-data: "):
        problems.append(f"last line: {last[0][:200]}")
    return problems


def claims(folder: Path) -> list[str]:
    """What a folder claims without having it: versions without their rows, runs without weights, exports that are not
    whole.
    """
    problems = []
    for path in sorted((folder / "datasets").glob("*/store")):
        try:
            data = Dataset(str(path.parent))
            verdict = verify(data)
            history = [one for one in verdict.history if not TAG_TO_COME.match(one)]
            if verdict.damaged or history or (data.version != "unfinished" and not data.complete()):
                problems.append(f"{path.parent.name} is not what it says")
            problems += [
                f"{path.parent.name}@{version} is not whole"
                for version in tags(data)
                if not verify(Dataset(f"{path.parent}@{version}")).whole
            ]
        except TimbreDataError as error:
            if "is empty: render it" not in str(error):
                problems.append(f"{path.parent.name}: {error}")
    for path in sorted((folder / "runs").glob("*/model.pt")):
        import torch

        torch.load(path, weights_only=True)
    if (folder / "out").exists():
        checked = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder / "out", capture_output=True)
        if checked.returncode:
            problems.append("the export is not whole")
    return problems


@pytest.mark.parametrize(("name", "what", "how"), sample(DAMAGED, 0.3))
def test_a_damaged_object_is_found_or_makes_no_difference(
    bench: Bench, tmp_path: Path, name: str, what: str, how: str
) -> None:
    """Whatever is done with a damaged dataset: an error that says so, or the result of a whole one."""
    stage = STAGES[name]
    expected, _ = bench.reference(name)
    folder = bench.prepared(stage, tmp_path / "work")
    before = content(Dataset(str(folder / "datasets" / "d")))
    damage(folder / "datasets" / "d" / "store", what, how)
    process = start(stage, folder, bench.irmas)
    out, said = process.communicate(timeout=SECONDS)
    problems = []
    if process.returncode not in (0, 1, 2, 3):
        problems.append(f"exit code {process.returncode}")
    if "Traceback" in out + said or "This is a defect" in said:
        problems.append("traceback")
    if process.returncode and not said.strip().splitlines()[-1].startswith("timbre-data: "):
        problems.append("last line")
    proven = is_proven(folder)
    if process.returncode == 0 and not name.startswith("export") and not proven:
        made = f"dataset {stage.makes}"  # dry sounds that the stage did not need, or older versions: `verify` says so
        problems += [f"{made} differs"] if stage.makes and left_by(folder)[made] != expected[made] else []
    elif process.returncode == 0:
        now = left_by(folder)
        problems += [
            f"{one} differs"
            for one in sorted(expected | now)
            if expected.get(one) != now.get(one) and (proven or not one.startswith(("tags", "dataset")))
        ]
    elif proven and content(Dataset(str(folder / "datasets" / "d"))) != before and stage.name not in ("render", "part"):
        problems.append("a whole dataset of other content")
    record(f"{name}-{what}-{how}", problems, said)


def is_proven(folder: Path) -> bool:
    """Whether `verify` finds nothing wrong with the dataset."""
    try:
        return verify(Dataset(str(folder / "datasets" / "d"))).whole
    except TimbreDataError:
        return False


def damage(store: Path, what: str, how: str) -> None:
    """Lose, cut or flip a bit of the newest object of a kind."""
    places = [store / what] if (store / what).is_dir() else [path for path in store.iterdir() if path.is_file()]
    files = [path for place in places for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file()]
    assert files, (what, list(store.iterdir()))
    path = max(files, key=lambda one: (one.stat().st_mtime_ns, one.name))
    content_ = bytearray(path.read_bytes())
    if how == "lost":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content_[: len(content_) // 2])
    else:
        content_[len(content_) // 2] ^= 1
        path.write_bytes(content_)


def test_the_list_is_long_enough() -> None:
    assert len(CASES) + len(DAMAGED) >= 300
    assert len({str(case) for case in CASES}) == len(CASES)
