"""Rendering stored rows again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.row_rendering import Inputs, make_rows
from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.catalogue.seeding import Stage, generator
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import AUDIO, DRY_AUDIO, DRY_INDEX, DRY_MIDI, PARAMS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.pipeline.synths.hosting.trust import require_recipe
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.recipe import Recipe

ROUNDING_DB = -84.0
"""Two steps of 16 bits: what rounding and effects may make of a noise floor below them."""


def stored_input(data: Dataset, row: int) -> Inputs:
    """The input of one row of a dataset: its dry sound as stored [shape=(1, channels, samples)], or the output of its
    synth.
    """
    index = np.asarray([data.read(DRY_INDEX, row)]).reshape(1).astype(np.int64)
    if data.recipe.chain.synth:
        return [Performance.from_text(str(data.read(DRY_MIDI, index)[0]))]
    return data.read(DRY_AUDIO, index)


def runtime_recipe(recipe: Recipe, meta: Mapping[str, Any]) -> Recipe:
    """The recipe as it is carried out: with the isolation mode that was measured for its synth."""
    measured = meta.get("isolation")
    if not recipe.chain.synth or not measured:
        return recipe
    synth = recipe.chain.synth.model_copy(update={"isolation": measured["mode"]})
    return recipe.model_copy(
        update={"chain": recipe.chain.model_copy(update={"steps": (synth, *recipe.chain.steps[1:])})}
    )


def rerender_rows(data: Dataset, count: int, seed: int = 0) -> dict[str, Any]:
    """Render `count` random rows again from the stored dry sounds and compare with what is stored, bit by bit.

    Raises `UntrustedError` for a dataset whose recipe names a program or plug-in that is not trusted.
    """
    if data.meta.get("kind") == "imported":
        raise UsageError(
            f"{data.location.address} was imported: there is nothing to render again; leave --rerender out."
        )
    require_recipe(data.recipe)
    quiet_threads()
    plan = Plan(runtime_recipe(data.recipe, data.meta))
    usable = data.usable()
    rows = np.sort(generator(seed, Stage.SOUND).choice(usable, min(count, len(usable)), replace=False))
    equal, largest = 0, -np.inf
    try:
        for row in rows.tolist():
            dry = stored_input(data, row)
            columns, _ = make_rows(plan, np.array([row]), dry)
            stored, made = data.read(AUDIO, slice(row, row + 1)), columns[AUDIO]
            equal += bool(
                np.array_equal(stored, made) and np.array_equal(data.read(PARAMS, slice(row, row + 1)), columns[PARAMS])
            )
            error = float(np.abs(decode(stored) - decode(made)).max())
            largest = max(largest, 20 * np.log10(error) if error else -np.inf)
    finally:
        close_instruments()
    isolation = data.meta.get("isolation")
    floor = -np.inf
    if isolation and isolation["noise_floor_db"] is not None:  # and a step of 16 bits for what rounding makes of it
        floor = max(float(isolation["noise_floor_db"]), ROUNDING_DB)
    within = equal == len(rows) or (np.isfinite(floor) and largest <= floor)
    return {"rendered": len(rows), "equal": equal, "largest_db": largest, "floor_db": floor, "same": bool(within)}
