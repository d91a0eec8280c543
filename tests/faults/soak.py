"""A soak: one process builds, grows, featurizes, captures and verifies, round after round, while others that build are
killed; memory, descriptors, threads and temporary files must stay flat. Started by `scripts/soak`.
"""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROUNDS_OF_A_DATASET = 12
WARM_UP = 4
MOST_MEGABYTES, MOST_DESCRIPTORS, MOST_THREADS, MOST_FILES = 60.0, 8.0, 6.0, 4.0
"""How much more the last third of the rounds may have than the first third, in the median."""
CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]


def one_round(number: int, rng: random.Random) -> None:
    """Grow a dataset and featurize it; grow another whose builder is killed; now and then, capture."""
    from timbre_data import api

    step = number % ROUNDS_OF_A_DATASET
    if step == 0:
        for name in ("grown", "killed", "captured"):
            shutil.rmtree(Path(os.environ["TIMBRE_DATA_HOME"]) / name, ignore_errors=True)
    rows = 300 * (step + 1)
    small = {"audio.seconds": 0.2}
    api.render(fx="delay", out="grown", overrides=small | {"n": rows})
    api.featurize("grown", ["autofx163"])
    check("grown", rows)
    words = ["render", "--fx", "delay", "--n", str(rows), "--out", "killed", "--set", "audio.seconds=0.2"]
    builder = subprocess.Popen([*CLI, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(1.5, 6.0))
    builder.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
    builder.wait()
    api.render(fx="delay", out="killed", overrides=small | {"n": rows})
    check("killed", rows)
    one, other = api.Dataset("grown"), api.Dataset("killed")
    assert np.array_equal(one.read("integrity/rows"), other.read("integrity/rows"))
    if step % 4 == 1 and shutil.which("amsynth") and shutil.which("jackd"):
        api.render(synth="amsynth", out="captured", overrides=small | {"n": 16 * (step + 1)})
        check("captured", 16 * (step + 1))


def check(name: str, rows: int) -> None:
    """Whether a dataset is whole."""
    from timbre_data import api
    from timbre_data.pipeline.store.verify import verify

    data = api.Dataset(name)
    verdict = verify(data)
    assert verdict.whole, verdict
    assert int(data.present().sum()) == rows


def measured(temporary: Path) -> dict[str, float]:
    """Memory in megabytes, descriptors, threads, child processes and temporary files of now."""
    gc.collect()
    process = psutil.Process()
    tasks = [path.read_text() for path in Path("/proc/self/task").glob("*/comm") if path.exists()]
    return {
        "megabytes": process.memory_info().rss / 1e6,
        "descriptors": process.num_fds(),
        "threads": sum(
            1 for task in tasks if not task.startswith("tokio")
        ),  # the storage library has a pool that comes and goes
        "children": len(process.children(recursive=True)),
        "files": sum(1 for _ in temporary.rglob("*")) + len(list(Path("/dev/shm").glob("jack*timbre-data*"))),
    }


def judged(rounds: list[dict[str, Any]]) -> list[str]:
    """What grew."""
    settled = rounds[WARM_UP:]
    third = max(1, len(settled) // 3)
    most = {"megabytes": MOST_MEGABYTES, "descriptors": MOST_DESCRIPTORS, "threads": MOST_THREADS, "children": 0.0, "files": MOST_FILES}  # fmt: skip
    found = []
    for what, more in most.items():
        first = float(np.median([one[what] for one in settled[:third]]))
        last = float(np.median([one[what] for one in settled[-third:]]))
        print(f"{what}: {first:.1f} in the first third, {last:.1f} in the last")
        if last > first + more:
            found.append(f"{what} grew from {first:.1f} to {last:.1f}")
    return found


def main(seconds: float, out: Path) -> int:
    """Soak for so many seconds; exit code 1 where something grew."""
    rng = random.Random(0)
    temporary = Path(tempfile.mkdtemp(prefix="soak-"))
    (temporary / "tmp").mkdir()
    os.environ |= {"TIMBRE_DATA_HOME": str(temporary / "datasets"), "TMPDIR": str(temporary / "tmp")}
    tempfile.tempdir = None
    rounds: list[dict[str, Any]] = []
    deadline = time.monotonic() + seconds
    out.unlink(missing_ok=True)
    try:
        while time.monotonic() < deadline or len(rounds) <= WARM_UP:
            began = time.monotonic()
            one_round(len(rounds), rng)
            rounds.append(measured(temporary / "tmp") | {"seconds": round(time.monotonic() - began, 2)})
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rounds[-1]) + "\n")
        problems = judged(rounds)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f"{len(rounds)} rounds in {seconds:.0f} s: {'; '.join(problems) or 'flat'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), Path(sys.argv[2])))
