"""Every distance between two sounds of 1.5 s on one core, beside auraloss's MRSTFT; and all of them for 48 sounds."""

from __future__ import annotations

import itertools
import time

import numpy as np

from benchmarks._common import report
from timbre_data.models.evaluation.distances import DISTANCES
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.sources import SOURCES

RATE, SAMPLES, PAIRS = 22_050, 33_075, 48


def main() -> None:
    quiet_threads()
    source = SOURCES.load("plucked_string")
    opened = source.open(source.settings())
    sounds = [opened.render(40 * k, RATE, 1, SAMPLES)[0] for k in range(PAIRS + 1)]
    found: dict[str, float] = {}
    for name in DISTANCES.names():
        compute = DISTANCES.load(name).compute
        compute(sounds[0], sounds[1], RATE)
        begun = time.perf_counter()
        for made, target in itertools.pairwise(sounds):
            compute(np.ascontiguousarray(made), np.ascontiguousarray(target), RATE)
        found[f"{name}_ms"] = 1000 * (time.perf_counter() - begun) / PAIRS
    over = {f"{name}_over_mrstft": found[f"{name}_ms"] / found["mrstft_ms"] for name in DISTANCES.names()}
    report("distances", **found, **over, all_48_sounds_seconds=PAIRS * sum(found.values()) / 1000)


if __name__ == "__main__":
    main()
