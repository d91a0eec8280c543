"""Importing on all cores: WAV as in IRMAS, MP3 as in MagnaTagATune.

Against a bare loop that decodes (soundfile), mixes and resamples the same files and keeps nothing; against the same
loop where memory is reused as an import reuses it ("tuned"); and against a script's loop that keeps the sounds as
16-bit NumPy files, without labels, hashes or compression.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr

from benchmarks._common import CORES, report
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.importing import import_dataset
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.store.location import locate

EXCERPTS, CLIPS = 6705, 4096
"""As many excerpts as the training part of IRMAS has; a sixth of MagnaTagATune (4 GB as stored)."""
DISTINCT = 64
"""Sounds that are made; the other files are copies of them."""


def irmas(folder: Path) -> list[Path]:
    """Stereo excerpts of 3 s at 44.1 kHz."""
    rng = np.random.default_rng(0)
    paths = []
    for k in range(EXCERPTS):
        path = folder / "IRMAS-TrainingData" / "cel" / f"[cel][cla]{k:04d}__1.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if k < DISTINCT:
            soundfile.write(path, 0.3 * rng.standard_normal((3 * 44_100, 2)).clip(-3, 3), 44_100, subtype="PCM_16")
        else:
            shutil.copy(paths[k % DISTINCT], path)
        paths.append(path)
    return paths


def magnatagatune(folder: Path) -> list[Path]:
    """Mono clips of 29 s at 16 kHz as MP3."""
    rng = np.random.default_rng(0)
    lines, paths = ["clip_id\tguitar\tmp3_path"], []
    for k in range(CLIPS):
        path = folder / f"{k % 16:x}" / f"clip-{k}-0-29.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        if k < DISTINCT:
            noise = np.cumsum(rng.standard_normal(29 * 16_000))
            soundfile.write(path, 0.5 * noise / np.abs(noise).max(), 16_000, format="MP3")
        else:
            shutil.copy(paths[k % DISTINCT], path)
        lines.append(f"{k}\t{k % 2}\t{path.relative_to(folder).as_posix()}")
        paths.append(path)
    (folder / "annotations_final.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def loop(paths: list[Path], rate: int, keep: Path | None = None, tuned: bool = False) -> float:
    """Seconds to decode, mix and resample all files with a thread a core, and to keep them in a folder; or with an
    import's memory.
    """
    if tuned:
        quiet_threads()

    def one(path: Path) -> None:
        sound, own = soundfile.read(path, dtype="float32", always_2d=True)
        # not `mean(axis=1)`, which takes as long as all else
        mono = sound[:, 0] if sound.shape[1] == 1 else (sound[:, 0] + sound[:, 1]) / 2
        mono = mono if own == rate else soxr.resample(mono, own, rate, quality="VHQ")
        if keep:
            np.save(keep / path.name, np.rint(mono * 32767).astype(np.int16))

    start = time.perf_counter()
    if keep:
        keep.mkdir()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(one, paths))
    return time.perf_counter() - start


def alone(*arguments: object) -> float:
    """The loop in a process of its own, as a script would run it."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(loop, arguments)


def measured(
    importer: str, paths: list[Path], rate: int, settings: dict[str, object], folder: Path
) -> dict[str, float]:
    """Medians over three rounds, in each of which another way goes first: what one writes slows down the next."""
    out = folder / "out"

    def imported() -> float:
        start = time.perf_counter()
        import_dataset(importer, settings, locate(str(out)), Cluster(workers=CORES))
        return time.perf_counter() - start

    ways: dict[str, Callable[[], float]] = {
        "bare": lambda: alone(paths, rate),
        "tuned": lambda: alone(paths, rate, None, True),
        "script": lambda: alone(paths, rate, out),
        "import": imported,
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for first in (0, 1, 3):
        for way in [*ways][first:] + [*ways][:first]:
            os.sync()
            taken[way].append(ways[way]())
            shutil.rmtree(out, ignore_errors=True)
    bare, tuned, script, own = (float(np.median(taken[way])) for way in ways)
    return {
        f"{importer}_files": len(paths),
        f"{importer}_bare_files_per_s": len(paths) / bare,
        f"{importer}_script_files_per_s": len(paths) / script,
        f"{importer}_import_files_per_s": len(paths) / own,
        f"{importer}_ratio": bare / own,
        f"{importer}_tuned_ratio": tuned / own,
        f"{importer}_script_ratio": script / own,
    }


def main() -> None:
    figures: dict[str, float] = {}
    for name, make, rate, parts in (
        ("irmas", irmas, 22_050, {"parts": ["training"]}),
        ("magnatagatune", magnatagatune, 16_000, {}),
    ):
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            figures |= measured(name, make(tree), rate, {"path": tree} | parts, Path(folder))
    report("importing", **figures)


if __name__ == "__main__":
    main()
