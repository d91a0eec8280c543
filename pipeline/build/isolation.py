"""Measures whether a synth carries state from one render to the next: rows are played in two orders with each isolation
mode.

Public reports of hosted plug-ins tell of 7 to 8 dB between two renders of one patch, depending on what was rendered
before. So a dataset of a synth that is not pure says which isolation its rows had, and how far two renders of one row
were apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.progress import NoProgress, Progress
from timbre_data.pipeline.build.rerendering import runtime_recipe
from timbre_data.pipeline.catalogue.seeding import Stage, generator
from timbre_data.schemas.arrays import Audio

PROBED_ROWS = 16
REPEATABLE_DB = -30.0
"""Noise floor above which two renders of one row are different sounds."""
ISOLATED_DB = -96.0
"""Half a step of 16 bits: two renders that differ by less are stored as the same sound, but for roundings."""


def difference_db(first: Audio, second: Audio) -> float:
    """The largest difference of two renders [shape=(n, channels, samples)] relative to each row's peak, in dB; -inf
    where they are equal.
    """
    peaks = np.maximum(np.abs(first).max(axis=(1, 2)), 1e-9)
    largest = float((np.abs(first - second).max(axis=(1, 2)) / peaks).max())
    return 20 * float(np.log10(largest)) if largest else -np.inf


def measured_isolation(plan: Plan, progress: Progress | None = None) -> dict[str, Any] | None:
    """Measure how the rows of a plan's synth must be isolated: mode, noise floor, and the measurements. None for
    effects and pure synths.

    In real time there is no measuring around: "auto" settles. Else, with "auto", the cheapest mode in which rows come
    out the same in two orders (to 16 bits); where none does, the one with the lowest floor.
    """
    synth, step = plan.chain.synth, plan.recipe.chain.synth
    if synth is None or step is None or synth.isolations == ("pure",):
        return None
    modes = synth.isolations if step.isolation == "auto" else (step.isolation,)
    rows = PROBED_ROWS
    if synth.in_real_time(plan.chain.synth_settings):  # equal in none, and each takes its time
        modes, rows = ("settle",) if step.isolation == "auto" else modes, 3
    measured: dict[str, float] = {}
    for number, mode in enumerate(modes):
        (progress or NoProgress()).notice(f"isolation: {mode}, {number + 1} of {len(modes)}")
        measured[mode] = floor_of(plan, mode, rows)
        if measured[mode] <= ISOLATED_DB:
            break
    best = min(measured, key=lambda mode: measured[mode])
    floor = measured[best]
    return {
        "mode": best,
        "noise_floor_db": floor if np.isfinite(floor) else None,  # none: equal bit by bit
        "measured_db": {mode: value if np.isfinite(value) else None for mode, value in measured.items()},
    }


def not_repeatable(meta: Mapping[str, Any]) -> list[str]:
    """A warning for a synth whose rows differ audibly between two renders, whatever isolation was tried."""
    measured = meta.get("isolation")
    if not measured or measured["noise_floor_db"] is None or measured["noise_floor_db"] <= REPEATABLE_DB:
        return []
    floor = float(measured["noise_floor_db"])
    return [
        f"no isolation makes this synth repeatable: two renders of a row differ by {floor:.1f} dB relative to its peak (isolation {measured['mode']}), so --rerender proves nothing and a label may belong to more than one sound"
    ]


def floor_of(plan: Plan, mode: str, rows: int) -> float:
    """The largest difference between rows played forwards and backwards with a mode, in dB below their peak."""
    audio = plan.recipe.audio
    recipe = runtime_recipe(plan.recipe, {"isolation": {"mode": mode}})
    chain, step = plan.chain, recipe.chain.synth
    assert chain.synth is not None
    assert step is not None
    row_indices = np.sort(
        generator(plan.recipe.seed, Stage.SOUND).choice(max(plan.recipe.n, rows), rows, replace=False)
    )
    draw = chain.draw(plan.recipe.seed, row_indices)
    patches = [chain.step_values(values, 0) for values in draw.values]
    sources = plan.dry_order[plan.dry_index(row_indices)].tolist()
    played = [plan.source.performance(index) for index in sources]
    player = chain.synth.open(chain.synth_settings, audio.rate, audio.channels, mode)
    try:
        player.play(played[:1], patches[:1], audio.samples)  # so that the first row is not the first sound
        forwards = player.play(played, patches, audio.samples)
        backwards = player.play(played[::-1], patches[::-1], audio.samples)[::-1]
    finally:
        player.close()
    return difference_db(forwards, backwards)
