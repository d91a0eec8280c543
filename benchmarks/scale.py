"""A dataset of a million short rows beside one of ten thousand: what grows with the number of rows, and how.

`python -m benchmarks.scale [ROWS]`. Each dataset is built in a process of its own, whose memory is measured; then the
commands that people wait for are timed, start of Python included, on both. The figures for ten million are what the
growth between the two says, nothing that was measured.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import CORES, report
from timbre_data.pipeline.build import recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue import validation
from timbre_data.pipeline.catalogue.progress import NoProgress
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.writer import Writer
from timbre_data.schemas.recipe import Recipe

FEW, MANY, EXTRAPOLATED = 10_000, 1_000_000, 10_000_000
SECONDS = 0.05
CLI = [sys.executable, "-c", "from timbre_data.cli import main; main()"]


class Clock(NoProgress):
    """Notes when each task's rows were there."""

    def __init__(self) -> None:
        self.rows, self.times = [0], [time.perf_counter()]

    def start(self, title: str, total: int, seconds_per_row: float, unit: str = "rows") -> None:
        self.rows, self.times = [0], [time.perf_counter()]

    def advance(self, rows: int, rejected: int = 0) -> None:
        self.rows.append(self.rows[-1] + rows)
        self.times.append(time.perf_counter())

    def rate(self, first: float, last: float) -> float:
        """Rows a second between two shares of all rows."""
        edges = [first * self.rows[-1], last * self.rows[-1]]
        begun, ended = np.interp(edges, self.rows, self.times)
        return float((edges[1] - edges[0]) / (ended - begun))


def recipe_of(rows: int) -> Recipe:
    """A distortion of notes of a twentieth of a second."""
    changes = {"audio.seconds": SECONDS, "n": rows}
    return recipes.load(validation.override(recipes.for_effect("distortion"), changes))


def build(rows: int, address: str) -> dict[str, float]:
    """Build a dataset in this process and tell how that went."""
    clock, commits = Clock(), []
    commit = Writer.commit

    def clocked(self: Writer, *arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        result = commit(self, *arguments, **options)
        commits.append(time.perf_counter() - begun)
        return result

    Writer.commit = clocked  # type: ignore[method-assign]  # to measure
    rendering.render(recipe_of(rows), locate(address), Cluster(workers=CORES), progress=clock)
    edge = max(1, len(commits) // 10)
    return {
        "rows/s, first tenth": clock.rate(0.0, 0.1),
        "rows/s, last tenth": clock.rate(0.9, 1.0),
        "commits": len(commits),
        "seconds a commit, first tenth": float(np.median(commits[:edge])),
        "seconds a commit, last tenth": float(np.median(commits[-edge:])),
        "peak memory in GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def timed(*words: str) -> float:
    """Seconds that a command takes, its start included."""
    begun = time.perf_counter()
    subprocess.run([*CLI, *words], check=True, capture_output=True)
    return time.perf_counter() - begun


def megabytes(folder: Path) -> float:
    """What a folder's files take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measured(rows: int, folder: Path) -> dict[str, float]:
    """Everything about a dataset of so many rows."""
    address = str(folder / "d")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", str(rows), address], check=True, capture_output=True, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    store = folder / "d" / "store"
    again = ("--fx", "distortion", "--set", f"audio.seconds={SECONDS}", "--out", address)
    figures |= {
        "seconds to render nothing new": timed("render", *again, "--n", str(rows)),
        "seconds to render 256 rows more": timed("render", *again, "--n", str(rows + 256)),
        "seconds of dataset show": timed("dataset", "show", address),
        "seconds of dataset verify": timed("dataset", "verify", address),
        "MB of snapshots": megabytes(store / "snapshots"),
        "MB of manifests": megabytes(store / "manifests"),
        "MB of chunks": megabytes(store / "chunks"),
        "files": float(sum(1 for path in store.rglob("*") if path.is_file())),
    }
    begun = time.perf_counter()
    data = Dataset(address)
    next(data.stream(["audio", "params"], batch_size=256, rows=data.usable(), seed=0))
    return figures | {"seconds to the first batch of a stream": time.perf_counter() - begun}


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    with tempfile.TemporaryDirectory() as few_folder, tempfile.TemporaryDirectory() as many_folder:
        small, large = measured(FEW, Path(few_folder)), measured(many, Path(many_folder))
    figures: dict[str, Any] = {"rows": many, "seconds a row": SECONDS}
    for name, value in large.items():
        growth = (value - small[name]) / (many - FEW)
        figures |= {f"{name}, {FEW} rows": small[name], f"{name}, {many} rows": value}
        if not name.startswith("rows/s"):
            figures[f"{name}, {EXTRAPOLATED} rows (by that growth)"] = value + growth * (EXTRAPOLATED - many)
    figures["speed of the last tenth to the first"] = large["rows/s, last tenth"] / large["rows/s, first tenth"]
    figures["memory to that of few rows"] = large["peak memory in GB"] / small["peak memory in GB"]
    report("scale", **figures)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(build(int(sys.argv[1]), sys.argv[2])))
    else:
        main()
