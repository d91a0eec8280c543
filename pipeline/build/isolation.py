"""Measures whether a synth carries state from one render to the next: rows are played in two orders with each isolation
mode.

Public reports of hosted plug-ins tell of 7 to 8 dB between two renders of one patch, depending on what was rendered
before. So a dataset of a synth that is not pure says which isolation its rows had, and how far two renders of one row
were apart: as waveforms, and, for oscillators that nothing stops, without their phase.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.rerendering import COMPARISONS, runtime_recipe, spectral_difference_db
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.catalogue.seeding import Stage, generator
from timbre_data.schemas.arrays import Audio

PROBED_ROWS, FEWEST_ROWS, REAL_TIME_ROWS = 16, 8, 3
BUDGET_SECONDS = 60.0
"""Time for measuring all modes: where rows take long, fewer are played, and modes for which no time is left not at
all.
"""
REPEATABLE_DB = -30.0
"""Noise floor above which two renders of one row are different waveforms."""
AS_GOOD_DB = 3.0
"""Where no mode makes waveforms repeat, the cheapest is taken whose spectra are so close to the best mode's."""
ISOLATED_DB = -96.0
"""Half a step of 16 bits: two renders that differ by less are stored as the same sound, but for roundings."""
TOLD_APART_DB = 6.0
"""Spectra of two renders of one row must be so much closer than those of two rows, to say that they are the same."""
EQUAL, ROUNDED, REPEATABLE, BUT_FOR_PHASE, NOT_REPEATABLE = (
    "equal",
    "equal but for rounding",
    "repeatable",
    "repeatable but for phase",
    "not repeatable",
)


@dataclass(frozen=True)
class Floor:
    """How far two renders of one row were apart with a mode, in dB: the waveforms relative to the row's peak, and with
    each comparison without phase the spectra relative to the louder one, and those of two different rows. -inf is
    equal.
    """

    waveform_db: float
    rows_db: dict[str, NDArray[np.float64]]
    other_rows_db: dict[str, float]

    def spectra_db(self, by: str) -> float:
        """The largest difference of two renders of a row with a comparison."""
        return float(self.rows_db[by].max())

    @property
    def compared_by(self) -> str:
        """What two renders of a row are compared by: the strictest comparison that tells rows apart."""
        if self.waveform_db <= REPEATABLE_DB:
            return "waveform"
        apart = {name: self.other_rows_db[name] - self.spectra_db(name) for name in COMPARISONS}
        return next((name for name in COMPARISONS if apart[name] >= TOLD_APART_DB), max(apart, key=lambda n: apart[n]))

    @property
    def verdict(self) -> str:
        """What can be said of two renders of one row."""
        if not np.isfinite(self.waveform_db):
            return EQUAL
        if self.waveform_db <= ISOLATED_DB:
            return ROUNDED
        if self.waveform_db <= REPEATABLE_DB:
            return REPEATABLE
        by = self.compared_by
        return BUT_FOR_PHASE if self.other_rows_db[by] - self.spectra_db(by) >= TOLD_APART_DB else NOT_REPEATABLE


def difference_db(first: Audio, second: Audio) -> float:
    """The largest difference of two renders [shape=(n, channels, samples)] relative to each row's peak, in dB; -inf
    where they are equal.
    """
    peaks = np.maximum(np.abs(first).max(axis=(1, 2)), 1e-9)
    largest = float((np.abs(first - second).max(axis=(1, 2)) / peaks).max())
    return 20 * float(np.log10(largest)) if largest else -np.inf


def measured_isolation(plan: Plan, progress: Progress | None = None) -> dict[str, Any] | None:
    """Measure how the rows of a plan's synth must be isolated: mode, noise floor, verdict, and the measurements. None
    for effects and pure synths.

    In real time there is no measuring around: "auto" settles. Else, with "auto", the cheapest mode in which rows come
    out the same in two orders (to 16 bits); where none does, the one with the lowest floor. Each mode's floor is told
    as it is found, and modes that the time left is too short for are not tried.
    """
    synth, step = plan.chain.synth, plan.recipe.chain.synth
    if synth is None or step is None or synth.isolations == ("pure",):
        return None
    modes = synth.isolations if step.isolation == "auto" else (step.isolation,)
    rows = PROBED_ROWS
    if synth.in_real_time(plan.chain.synth_settings):  # equal in none, and each takes its time
        modes, rows = ("settle",) if step.isolation == "auto" else modes, REAL_TIME_ROWS
    progress = progress or NoProgress()
    measured: dict[str, Floor] = {}
    deadline = time.monotonic() + BUDGET_SECONDS
    for number, mode in enumerate(modes):
        if measured and time.monotonic() > deadline:
            progress.notice(f"isolation: {', '.join(modes[number:])} not tried, {BUDGET_SECONDS:.0f} s are over")
            break
        progress.notice(f"isolation: {mode}, {number + 1} of {len(modes)}")
        floor = measured[mode] = floor_of(plan, mode, rows, (deadline - time.monotonic()) / (len(modes) - number))
        told = f"{floor.waveform_db:.1f} dB relative to the peak" if np.isfinite(floor.waveform_db) else "none"
        count = len(floor.rows_db[COMPARISONS[0]])
        progress.notice(f"isolation: {mode}: difference of two renders of {count} rows: {told}")
        if floor.waveform_db <= ISOLATED_DB:
            break
    best = _best(measured)
    floor = measured[best]
    progress.notice(f"isolation: {best} it is: {floor.verdict}")
    by = floor.compared_by
    return {
        "mode": best,
        "verdict": floor.verdict,
        "noise_floor_db": _finite(floor.waveform_db),  # none: equal bit by bit
        "compared_by": by,
        "spectral_floor_db": _finite(floor.spectra_db(by)) if by in COMPARISONS else None,
        "other_rows_db": _finite(floor.other_rows_db[by]) if by in COMPARISONS else None,
        "measured_db": {mode: _finite(one.waveform_db) for mode, one in measured.items()},
    }


def _best(measured: Mapping[str, Floor]) -> str:
    """The mode with the lowest floor; where waveforms repeat with none, the cheapest whose spectra are about as close,
    over the rows that all modes played.
    """
    best = min(measured, key=lambda mode: measured[mode].waveform_db)
    if measured[best].waveform_db <= REPEATABLE_DB:
        return best
    by = COMPARISONS[-1]
    common = min(len(floor.rows_db[by]) for floor in measured.values())
    spectra = {mode: float(np.median(floor.rows_db[by][:common])) for mode, floor in measured.items()}
    return next(mode for mode in measured if spectra[mode] <= min(spectra.values()) + AS_GOOD_DB)


def not_repeatable(meta: Mapping[str, Any]) -> list[str]:
    """A warning for a synth whose rows differ audibly between two renders, whatever isolation was tried."""
    measured = meta.get("isolation")
    if not measured or measured["noise_floor_db"] is None or measured["noise_floor_db"] <= REPEATABLE_DB:
        return []
    differ = f"no isolation makes this synth repeatable: two renders of a row differ by {float(measured['noise_floor_db']):.1f} dB relative to its peak (isolation {measured['mode']})"
    if measured.get("spectral_floor_db") is None or measured.get("other_rows_db") is None:
        return [f"{differ}, so --rerender proves nothing and a label may belong to more than one sound"]
    spectra = f"their {measured['compared_by']} differ by {measured['spectral_floor_db']:.1f} dB, those of two different rows by {measured['other_rows_db']:.1f} dB"
    if measured.get("verdict") == BUT_FOR_PHASE:
        return [f"{differ}, but for phase they are the same: {spectra}; --rerender compares {measured['compared_by']}"]
    return [
        f"{differ}, and {spectra}: --rerender proves nothing and a label belongs to more than one sound; fix the parameters that make it so"
    ]


def floor_of(plan: Plan, mode: str, rows: int, seconds: float = BUDGET_SECONDS) -> Floor:
    """The largest differences between rows played forwards and backwards with a mode. Where `rows` rows would take
    longer than `seconds`, fewer are played, but never less than `FEWEST_ROWS`.
    """
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
        began = time.monotonic()
        player.play(played[1:2], patches[1:2], audio.samples)
        one = max(time.monotonic() - began, 1e-3)
        count = int(np.clip((seconds - one) / (2 * one), min(FEWEST_ROWS, rows), rows))
        played, patches = played[:count], patches[:count]
        forwards = player.play(played, patches, audio.samples)
        backwards = player.play(played[::-1], patches[::-1], audio.samples)[::-1]
    finally:
        player.close()
    others = np.roll(forwards, 1, axis=0)
    return Floor(
        difference_db(forwards, backwards),
        {name: spectral_difference_db(forwards, backwards, name) for name in COMPARISONS},
        {name: float(np.median(spectral_difference_db(forwards, others, name))) for name in COMPARISONS},
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
