"""Every effect, processor time of one row of 1.5 s at 22.05 kHz on one core; and, where an effect has a kernel of ours,
the same by pedalboard's plug-ins in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks._common import report
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.schemas.arrays import Audio

RATE, SAMPLES, ROWS, ROUNDS = 22_050, 33_075, 40, 3


def main() -> None:
    quiet_threads()
    rng = np.random.default_rng(0)
    decay = np.exp(-np.arange(SAMPLES) / 6000)
    sounds = [(rng.uniform(-0.5, 0.5, (1, SAMPLES)) * decay).astype(np.float32) for _ in range(ROWS)]

    def milliseconds(render: Callable[[Audio, int, Mapping[str, float]], Audio], values: list[Any]) -> float:
        best = np.inf
        for _ in range(ROUNDS):
            begun = time.process_time()
            for sound, one in zip(sounds, values, strict=True):
                render(sound, RATE, one)
            best = min(best, time.process_time() - begun)
        return 1000 * best / ROWS

    figures: dict[str, float] = {}
    for name in EFFECTS.shipped():
        effect = EFFECTS.load(name)
        if not len(effect.space):
            continue
        places = effect.space.to_values(rng.random((ROWS, len(effect.space))).astype(np.float32))
        values = [effect.space.as_mapping(row) for row in places]
        effect.render(sounds[0], RATE, values[0])  # compiled
        figures[f"{name}: ms a row"] = milliseconds(effect.render, values)
        if effect.pedalboard is not None:
            figures[f"{name}: share of pedalboard's time"] = figures[f"{name}: ms a row"] / milliseconds(
                effect.pedalboard, values
            )
    report("effects", **figures)


if __name__ == "__main__":
    main()
