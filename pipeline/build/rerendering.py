"""Rendering stored rows again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.chain import Chain
from timbre_data.pipeline.build.machine import quiet_threads
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.players import instrument
from timbre_data.pipeline.build.row_rendering import Inputs, make_rows
from timbre_data.pipeline.catalogue.performance import Performance
from timbre_data.pipeline.catalogue.seeding import Stage, generator
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import (
    AUDIO,
    DRY_AUDIO,
    DRY_INDEX,
    DRY_MIDI,
    ORIGIN_DATASET,
    ORIGIN_ROW,
    PARAMS,
)
from timbre_data.pipeline.store.origins import origins_of, places
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.pipeline.synths.hosting.trust import require_recipe
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.origin import Origin
from timbre_data.schemas.recipe import Recipe

ROUNDING_DB = -84.0
"""Two steps of 16 bits: what rounding and effects may make of a noise floor below them."""
COMPARISONS = ("spectrograms", "mean spectra")
"""Comparisons of two renders that ignore phase, the strictest first."""


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


def play_settings(
    recipe: Recipe, chain: Chain, given: Inputs, order: NDArray[np.int8], labels: NDArray[np.floating[Any]]
) -> tuple[Audio, Audio]:
    """Play one row with several normalized settings [shape=(k, p)]: its sounds after the chain, and before it, as
    float32 [shape=(k, channels, samples)].

    `given` is its dry sound as floats [shape=(1, channels, samples)], or its notes; what is before the chain then is
    what its synth plays. `recipe` as it is carried out (`runtime_recipe`).
    """
    values = chain.space.to_values(labels)
    audio = recipe.audio
    if isinstance(given, list):
        player = instrument(recipe.chain, chain, audio)
        sources = player.play(given * len(values), [chain.step_values(v, 0) for v in values], audio.samples)
    else:
        sources = np.repeat(np.asarray(given, np.float32), len(values), axis=0)
    wet = [chain.render(source, audio.rate, v, order) for source, v in zip(sources, values, strict=True)]
    return np.stack(wet), sources


def rerender_rows(data: Dataset, count: int, seed: int = 0) -> dict[str, Any]:
    """Render `count` random rows again from the stored dry sounds and compare with what is stored, bit by bit; where no
    isolation makes the waveforms of a synth repeat, by spectra.

    Raises `UntrustedError` for a dataset whose recipe names a program or plug-in that is not trusted.
    """
    origins = origins_of(data)
    rendered = np.array([origin.kind != "imported" for origin in origins])
    usable = data.usable()
    origin = data.read(ORIGIN_DATASET).astype(np.int64) if data.has(ORIGIN_DATASET) else np.zeros(data.n, np.int64)
    usable = usable[rendered[origin[usable]]]
    if not len(usable):
        raise UsageError(
            f"{data.location.address} was imported: there is nothing to render again; leave --rerender out."
        )
    for one in origins:
        if one.kind != "imported":
            require_recipe(one.recipe)
    quiet_threads()
    rows = np.sort(generator(seed, Stage.SOUND).choice(usable, min(count, len(usable)), replace=False))
    comparisons = [
        _rerender(data, origins[number], rows[origin[rows] == number]) for number in np.unique(origin[rows]).tolist()
    ]
    worst = max(comparisons, key=lambda comparison: (not comparison["same"], comparison["largest_db"]))
    return worst | {
        "rendered": len(rows),
        "equal": sum(comparison["equal"] for comparison in comparisons),
        "same": all(comparison["same"] for comparison in comparisons),
    }


def _rerender(data: Dataset, origin: Origin, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Render rows of one origin again, by its recipe and under their numbers there, and compare."""
    isolation = origin.isolation or {}
    floor = isolation.get("noise_floor_db")
    compared_by = isolation.get("compared_by", "waveform")
    spectral_floor = None if compared_by == "waveform" else isolation.get("spectral_floor_db")
    plan = Plan(runtime_recipe(origin.recipe, {"isolation": origin.isolation}))
    numbers = data.read(ORIGIN_ROW, rows) if data.has(ORIGIN_ROW) else rows
    labels = places(origin.parameters, data.names(PARAMS))
    equal, largest, spectral = 0, -np.inf, -np.inf
    try:
        for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
            dry = stored_input(data, row)
            columns, _ = make_rows(plan, np.array([number]), dry)
            stored, made = data.read(AUDIO, slice(row, row + 1)), columns[AUDIO]
            equal += bool(
                np.array_equal(stored, made)
                and np.array_equal(data.read(PARAMS, slice(row, row + 1))[:, labels], columns[PARAMS])
            )
            error = float(np.abs(decode(stored) - decode(made)).max())
            largest = max(largest, 20 * np.log10(error) if error else -np.inf)
            if spectral_floor is not None:
                difference = spectral_difference_db(decode(stored), decode(made), compared_by)
                spectral = max(spectral, float(difference.max()))
    finally:
        close_instruments()
    if spectral_floor is not None:  # nearer to itself than to another row
        same = spectral <= (spectral_floor + float(isolation["other_rows_db"])) / 2
    else:  # with a step of 16 bits for what rounding makes of a floor
        same = equal == len(rows) or (floor is not None and largest <= max(float(floor), ROUNDING_DB))
    return {
        "rendered": len(rows),
        "equal": equal,
        "largest_db": largest,
        "floor_db": -np.inf if floor is None else max(float(floor), ROUNDING_DB),
        "compared_by": compared_by,
        "spectral_db": spectral,
        "spectral_floor_db": spectral_floor,
        "same": bool(same),
    }


def spectral_difference_db(first: Audio, second: Audio, by: str) -> NDArray[np.float64]:
    """How far the magnitude spectra of two sets of sounds [shape=(n, channels, samples)] are apart, whatever their
    phase, row by row [shape=(n,)]: the energy of the difference of the magnitudes relative to the louder one's, in dB;
    -inf where they are equal.

    `by` is "spectrograms" (frames of 2048 samples, without the phase of oscillators) or "mean spectra" (the mean over
    time, without that of slow modulation either).
    """
    from timbre_data.pipeline.sound.short_time import (
        ShortTimeTransform,
    )  # needs torch, which no refusal should wait for

    transform = ShortTimeTransform(first.shape[-1], min(2048, 2 ** int(np.log2(max(first.shape[-1], 32)))), 512)
    differences = np.empty(len(first))
    for row, (one, other) in enumerate(zip(first, second, strict=True)):
        a, b = (np.abs(transform(np.ascontiguousarray(sound.mean(axis=0)))).astype(float) for sound in (one, other))
        if by == "mean spectra":
            a, b = a.mean(axis=0), b.mean(axis=0)
        differences[row] = ((a - b) ** 2).sum() / max((a**2).sum(), (b**2).sum(), 1e-30)
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(differences))
