"""Playing one patch of a synth into a WAV file, with its parameters as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.row_rendering import make_rows
from timbre_data.pipeline.sound.audio import decode, write_wav
from timbre_data.pipeline.store.columns import AUDIO, MASK, PARAMS
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.schemas.recipe import Recipe


def play_one(recipe: Recipe, out: Path) -> dict[str, str]:
    """Render the first row of a recipe whose chain begins with a synth into a WAV file. Returns its parameters, masked
    ones left out.
    """
    plan = Plan(recipe)
    try:
        columns, _ = make_rows(plan, np.array([0]), [plan.source.performance(0)])
    finally:
        close_instruments()
    write_wav(decode(columns[AUDIO])[0], recipe.audio.rate, out)
    described = zip(plan.chain.space, columns[PARAMS][0], columns[MASK][0], strict=True)
    return {parameter.name: parameter.describe(float(unit)) for parameter, unit, active in described if active}
