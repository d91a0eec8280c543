"""Synths against real time: our own per core, captured ones per worker and with two workers, everything included but
the store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks._common import report
from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.catalogue import shipped, validation
from timbre_data.pipeline.catalogue.performance import Performance, PlayedNote
from timbre_data.pipeline.catalogue.synth import Instrument
from timbre_data.pipeline.synths import SYNTHS
from timbre_data.schemas.errors import TimbreDataError

RATE, SECONDS = 44_100, 1.5
NOTE = Performance.of(PlayedNote(0.0, 0.8, 60, 100))


def patches(recipe: str, count: int) -> tuple[Plan, list[Mapping[str, float]]]:
    """The first patches of a recipe."""
    data = recipes.read(recipe) if recipe in shipped.shipped() else recipes.for_synth(recipe)
    plan = Plan(recipes.load(validation.override(data, {"n": count})))
    draw = plan.chain.draw(1, np.arange(count))
    return plan, [plan.chain.step_values(values, 0) for values in draw.values]


def speed(player: Instrument, values: Sequence[Mapping[str, float]]) -> float:
    """Times real time, over all patches."""
    begun = time.perf_counter()
    player.play([NOTE] * len(values), values, round(RATE * SECONDS))
    return len(values) * SECONDS / (time.perf_counter() - begun)


def both(players: Sequence[Instrument], values: Sequence[Mapping[str, float]]) -> float:
    """Times real time of several workers together."""
    threads = [threading.Thread(target=speed, args=(player, values)) for player in players]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(players) * len(values) * SECONDS / (time.perf_counter() - begun)


def main() -> None:
    quiet_threads()
    found: dict[str, float] = {}
    for recipe in ("inverse12", "subtractive"):
        plan, values = patches(recipe, 300)
        assert plan.chain.synth is not None
        player = plan.chain.synth.open(plan.chain.synth_settings, RATE, 1, "pure")
        speed(player, values[:20])
        found[f"{recipe}_x_real_time"] = max(speed(player, values) for _ in range(3))
    for profile, isolation in (
        ("amsynth", "reuse"),
        ("amsynth", "settle"),
        ("zynaddsubfx", "reuse"),
        ("fluidsynth", "settle"),
    ):
        plan, values = patches(profile, 192)
        synth = SYNTHS.load("midi")
        players = [synth.open(plan.chain.synth_settings, RATE, 1, isolation) for _ in range(2)]
        try:
            for player in players:
                speed(player, values[:2])
            one = max(speed(players[0], values) for _ in range(3))
            two = max(both(players, values) for _ in range(3))
            found[f"{profile}_{isolation}_x_real_time"] = one
            found[f"{profile}_{isolation}_two_workers_ratio"] = two / one
        except TimbreDataError as error:
            print(f"{profile}: {error}")
        finally:
            for player in players:
                player.close()
    report("synths", **found)


if __name__ == "__main__":
    main()
