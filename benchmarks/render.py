"""Rendering distortion, delay and modulation against a bare pedalboard loop and against a plain script, on the same
cores, notes and parameters.

The bare loop: pedalboard's plug-ins, one thread per core, flush-to-zero, dry notes in memory, parameters drawn
already, nothing kept. The plain script: one loop; reads the dry WAV, renders, writes a WAV and a line of JSON for each
row. Everything of ours is counted: Dask's start, dry notes, drawing, rendering, encoding, writing, committing.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from benchmarks._common import CORES, report
from timbre_data.pipeline.build import recipes, rendering
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.store.location import locate
from timbre_data.schemas.arrays import Audio

ROWS = 37_440
REFERENCE_ROWS = 8_000
SCRIPT_ROWS = 1_500


def main() -> None:
    figures: dict[str, Any] = {"rows": ROWS}
    for effect in ("distortion", "delay", "modulation"):
        figures |= {f"{effect}: {name}": value for name, value in measured(effect).items()}
    report("render", **figures)


def measured(effect: str) -> dict[str, Any]:
    """The rates of one effect."""
    recipe = recipes.load(recipes.for_effect(effect))
    plan = Plan(recipe)
    known = EFFECTS.load(effect).pedalboard
    assert known is not None
    alone: Callable[[Audio, int, Mapping[str, float]], Audio] = known
    draw = plan.chain.draw(0, np.arange(REFERENCE_ROWS))
    values = [plan.chain.step_values(row, 0) for row in draw.values]
    rate, samples = recipe.audio.rate, recipe.audio.samples
    notes = [plan.source.render(int(i), rate, 1, samples) for i in plan.dry_order]

    def bare(rows: range) -> None:
        torch.set_flush_denormal(True)
        for row in rows:
            alone(notes[row % len(notes)], rate, values[row])

    def bare_rate() -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(bare, [range(k, REFERENCE_ROWS, CORES) for k in range(CORES)]))
        return REFERENCE_ROWS / (time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as folder:

        def ours(n: int, name: str) -> float:
            start = time.perf_counter()
            rendering.render(recipe.model_copy(update={"n": n}), locate(f"{folder}/{name}"), Cluster(workers=CORES))
            return n / (time.perf_counter() - start)

        for k, note in enumerate(notes[:SCRIPT_ROWS]):
            soundfile.write(f"{folder}/dry{k}.wav", note[0], rate)

        def script() -> float:
            start = time.perf_counter()
            with Path(f"{folder}/rows.json").open("w") as labels:
                for row in range(SCRIPT_ROWS):
                    dry, _ = soundfile.read(f"{folder}/dry{row}.wav", dtype="float32")
                    wet = alone(dry[None], rate, values[row])
                    soundfile.write(f"{folder}/wet{row}.wav", wet[0] / np.abs(wet).max(), rate)
                    labels.write(json.dumps(values[row]) + "\n")
            return SCRIPT_ROWS / (time.perf_counter() - start)

        ours(512, "warm")  # compiled kernels and imports
        bare_rates, our_rates, script_rates, memory = [], [], [], []
        for attempt in range(3):  # interleaved, so that a busy moment hits all of them
            bare_rates.append(bare_rate())
            our_rates.append(ours(ROWS, f"d{attempt}"))
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
            script_rates.append(script())
        bare_rates.append(bare_rate())
    return {
        "ours, rows/s": float(np.median(our_rates)),
        "bare, rows/s": float(np.median(bare_rates)),
        "script, rows/s": float(np.median(script_rates)),
        "ratio to bare": float(np.median(our_rates) / np.median(bare_rates)),
        "ratio to script": float(np.median(our_rates) / np.median(script_rates)),
        "peak memory in GB after each of three builds": [round(value, 2) for value in memory],
    }


if __name__ == "__main__":
    main()
