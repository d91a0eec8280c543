"""Copying, selecting, merging and exporting 10,000 rows, against a plain copy of the files that each of them writes.

The plain copy (`shutil.copytree`) is made of what was just written, in the same run: the same bytes in the same number
of files. "ratio" is the time in this process over that, both until everything is on the disk (`sync`); "in memory"
without. "rows/s" is without, too. Nothing is deleted before the end: ext4 makes files slowly after that.

"least" is what no way of doing it can go below, over the same plain copy, with all cores and in memory: for a dataset,
reading the chunks of its sounds, checking and decompressing them, hashing the rows, compressing and writing them again;
for an export, reading, checking and decompressing them, writing the samples, and the SHA-256 of what was written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import xxhash

from benchmarks._common import CORES, report
from timbre_data import api
from timbre_data.pipeline.store.chunks import blosc_of, encoded, read_rows
from timbre_data.pipeline.store.columns import AUDIO
from timbre_data.pipeline.store.reader import Dataset

ROWS = 10_000
FORMATS = ("zarr", "wav", "parquet", "huggingface", "webdataset")


Times = tuple[float, float]
"""Seconds in memory, and until everything is on the disk."""


def seconds(function: Callable[[], object]) -> Times:
    """How long a call takes."""
    os.sync()
    start = time.perf_counter()
    function()
    in_memory = time.perf_counter() - start
    os.sync()
    return in_memory, time.perf_counter() - start


def compared(work: Callable[[Path], object], place: Path, rounds: int = 2) -> tuple[Times, Times]:
    """The best times of some work that writes into a new folder, and those of a plain copy of the folder."""
    best, plain = (np.inf, np.inf), (np.inf, np.inf)
    for number in range(rounds):
        made, copied = place.with_suffix(f".{number}"), place.with_suffix(f".{number}-copy")
        best = min(best, seconds(partial(work, made)))
        plain = min(plain, seconds(partial(shutil.copytree, made, copied)))
    return best, plain


def least(data: Dataset, made: Path, *, is_dataset: bool) -> float:
    """Seconds of the steps that cannot be left out, for all rows of a dataset, in a thread for each core."""
    array = data.array(AUDIO)
    blosc = blosc_of(array)
    assert blosc is not None
    size = array.chunks[0]

    def one(number: int) -> None:
        rows = read_rows(array, blosc, slice(number * size, (number + 1) * size))
        if is_dataset:
            for row in rows:
                xxhash.xxh3_64_intdigest(row)
            content = encoded(array, rows)
        else:
            content = rows.tobytes()
            hashlib.sha256(content).digest()
        (made / str(number)).write_bytes(content)

    made.mkdir()
    with ThreadPoolExecutor(CORES) as pool:
        start = time.perf_counter()
        list(pool.map(one, range(-(-data.n // size))))
        return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["TIMBRE_DATA_HOME"] = str(folder / "datasets")
        api.render(fx="distortion", out="d", overrides={"n": ROWS})
        api.render(fx="delay", out="e", overrides={"n": ROWS // 2})
        api.render(fx="distortion", out="f", overrides={"n": ROWS // 2})
        works: dict[str, Callable[[Path], object]] = {
            "copy": lambda to: api.copy("d", str(to)),
            "select": lambda to: api.select("d", str(to), where="row >= 0"),
            "merge": lambda to: api.merge(["f", "e"], str(to)),
        }
        for form in FORMATS:
            works[form] = lambda to, form=form: api.export("d", to, form=form)  # type: ignore[misc]  # bound now
        figures: dict[str, float] = {}
        for name, work in works.items():
            best, plain = compared(work, folder / name)
            figures[f"{name}: ratio"] = best[1] / plain[1]
            figures[f"{name}: ratio in memory"] = best[0] / plain[0]
            figures[f"{name}: rows/s"] = ROWS / best[0]
            if name not in ("copy", "zarr"):
                lowest = least(Dataset("d"), folder / f"{name}.least", is_dataset=name in ("select", "merge"))
                figures[f"{name}: least in memory"] = lowest / plain[0]
        report("travel", rows=ROWS, **figures)


if __name__ == "__main__":
    main()
