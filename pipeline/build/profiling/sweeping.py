"""Sweeping every knob of a profile: over its range, in a few settings of all the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from timbre_data.pipeline.build.profiling.bench import Bench, Patch, spread_db
from timbre_data.pipeline.build.profiling.quantities import (
    QUANTITIES,
    FloatArray,
    Measured,
    distance_db,
    semitones_between,
)
from timbre_data.pipeline.catalogue.seeding import generator
from timbre_data.schemas.errors import SynthError
from timbre_data.schemas.parameter import Fixed, Parameter
from timbre_data.schemas.space import ParameterSpace

STEPS, MOST_POSITIONS = 9, 9
CONTEXTS, TRIES, REPEATS = 4, 12, 4
QUICK_PLACES = (("attack", 0.15), ("sustain", 0.7), ("release", 0.8), ("amount", 0.85), ("depth", 0.85))
"""Where knobs with such names stand in the second context: what envelopes do later, and what modulates, is heard there.
"""
NOISY_DB, NOISY_PASSES = 1.0, 4
"""Where two renders of one patch are so far apart, every sweep is made so often, and its mean is looked at."""
LEAST_DB = 0.7
RANGE_IN_ERRORS = 7.0
"""Means of several places differ where their range is so many standard errors: one of ten thousand such ranges is
larger by chance."""


@dataclass(frozen=True)
class Context:
    """One setting of all knobs: its patch, a note, and how far renders of it are apart."""

    patch: Patch
    note: Measured
    noise_db: float


@dataclass(frozen=True)
class Sweep:
    """A knob over its range, in one context: its normalized `places`, and the notes of each pass, all from low to
    high (every second one was played from high to low).
    """

    context: Context
    places: FloatArray
    passes: Sequence[Sequence[Measured]]

    @cached_property
    def quantities(self) -> FloatArray:
        """Every quantity [shape=(passes, places, quantities)]; NaN where it is unknown."""
        base = self.context.note
        return np.array([[[_value(note, name, base) for name in QUANTITIES] for note in row] for row in self.passes])

    @cached_property
    def means(self) -> FloatArray:
        """The mean over the passes [shape=(places, quantities)]; NaN where one pass does not know."""
        return np.asarray(self.quantities.mean(axis=0))

    @cached_property
    def effect_db(self) -> float:
        """How far two places of the knob are apart at most."""
        return max(spread_db(row) for row in self.passes)

    @cached_property
    def repeat_db(self) -> float:
        """How far two renders at one place are apart at most; NaN with one pass."""
        if len(self.passes) < 2:
            return float("nan")
        return max(distance_db(a, b) for a, b in zip(self.passes[0], self.passes[1], strict=True))

    @property
    def distinct(self) -> int:
        """How many places sound different from the one before, plus one."""
        notes = self.passes[0]
        return 1 + sum(distance_db(a, b) > LEAST_DB / 4 for a, b in pairwise(notes))

    def heard(self, errors: FloatArray) -> bool:
        """Whether the knob changes anything, where a single render has these standard errors [shape=(quantities,)]."""
        if self.context.noise_db < LEAST_DB / 2:
            return self.effect_db > LEAST_DB
        least = np.array([quantity.least for quantity in QUANTITIES.values()])
        ranges = np.ptp(self.means, axis=0)
        needed = np.maximum(least, RANGE_IN_ERRORS * errors / np.sqrt(len(self.passes)))
        return bool((ranges[np.isfinite(ranges)] > needed[np.isfinite(ranges)]).any())


def errors_of(sweeps: Sequence[Sweep]) -> FloatArray:
    """The standard deviation of each quantity between renders of one patch, over all sweeps with several passes
    [shape=(quantities,)].
    """
    residuals = [
        (sweep.quantities - sweep.means).reshape(-1, len(QUANTITIES)) * np.sqrt(len(sweep.passes) / (len(sweep.passes) - 1))
        for sweep in sweeps
        if len(sweep.passes) > 1
    ]  # fmt: skip
    if not residuals:
        return np.zeros(len(QUANTITIES))
    squares = np.concatenate(residuals) ** 2
    known = np.isfinite(squares)
    return np.asarray(np.sqrt(np.where(known, squares, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)))


def _value(note: Measured, name: str, base: Measured) -> float:
    return semitones_between(base, note) if name == "pitch" else note.values[name]


def places_of(parameter: Parameter) -> FloatArray:
    """The normalized places at which a knob is heard: all its positions, or some of very many."""
    count = min(parameter.steps, MOST_POSITIONS) if parameter.steps else STEPS
    return np.linspace(0, 1, max(count, 2))


def at(patch: Patch, parameter: Parameter, place: float) -> dict[str, float]:
    """A patch with one knob at a normalized place."""
    return {**patch, parameter.name: float(parameter.to_value(place))}


def fulfilled(space: ParameterSpace, name: str, patch: Patch) -> dict[str, float]:
    """A patch in which a knob is heard, as far as the profile says when it is."""
    changed = dict(patch)
    for _ in range(len(space)):
        condition = space[name].condition
        if condition is None:
            break
        name = condition.parameter
        if not condition.holds(np.array([changed[name]]))[0]:
            high = space[name].bounds[1]
            changed[name] = condition.values[0] if condition.values else ((condition.above or 0.0) + high) / 2
    return changed


def middle(space: ParameterSpace) -> dict[str, float]:
    """The patch in the middle of all ranges; fixed knobs as they are fixed, choices at one that is drawn, switches
    off.
    """
    patch = {}
    for parameter in space:
        distribution = parameter.distribution
        if isinstance(distribution, Fixed):
            patch[parameter.name] = distribution.value
        else:
            chance = {"switch": 0.0, "choice": 0.5, "integer": 0.5}.get(parameter.kind)
            place = 0.5 if chance is None else float(parameter.quantile(np.array([chance]))[0])
            patch[parameter.name] = float(parameter.to_value(place))
    return patch


def find_contexts(bench: Bench, seed: int) -> list[Context]:
    """The middle of all ranges, the same with quick attacks and much modulation, and random patches as a dataset draws
    them; silent ones are left out. Raises `SynthError` where nothing sounds.
    """
    space = bench.profile.space()
    drawn = space.quantile(generator(seed).random((TRIES, len(space))))
    patches = [middle(space), _quick(space), *(space.as_mapping(row) for row in space.to_values(drawn))]
    heard = [patch for patch, note in zip(patches, bench.notes(patches), strict=True) if not note.silent]
    if not heard:
        raise SynthError(bench.profile.name, [f"{len(patches)} patches were all silent"])
    chosen = heard[:CONTEXTS]
    renders = bench.notes(chosen * REPEATS)
    played = [renders[number :: len(chosen)] for number in range(len(chosen))]
    return [Context(patch, notes[0], spread_db(notes)) for patch, notes in zip(chosen, played, strict=True)]


def _quick(space: ParameterSpace) -> dict[str, float]:
    turned = [(p, place) for p in space for word, place in QUICK_PLACES if word in p.name and not p.steps]
    return middle(space) | {p.name: float(p.to_value(place)) for p, place in turned}


def passes_for(contexts: Sequence[Context]) -> int:
    """How often a sweep is made: once, or where renders of one patch differ, several times."""
    return NOISY_PASSES if max(context.noise_db for context in contexts) > NOISY_DB else 1


def sweep(bench: Bench, contexts: Sequence[Context], parameter: Parameter, passes: int) -> list[Sweep]:
    """Sweep one knob in every context: `passes` times, up and down in turn, and in the first one twice at least."""
    space, places = bench.profile.space(), places_of(parameter)
    counts = [max(passes, 2 if number == 0 else 1) for number in range(len(contexts))]
    patches: list[Mapping[str, float]] = []
    for context, count in zip(contexts, counts, strict=True):
        patch = fulfilled(space, parameter.name, context.patch)
        for number in range(count):
            patches += [at(patch, parameter, place) for place in (places[::-1] if number % 2 else places)]
    notes = iter(bench.notes(patches))
    made = []
    for context, count in zip(contexts, counts, strict=True):
        rows = []
        for number in range(count):
            row = [next(notes) for _ in places]
            rows.append(row[::-1] if number % 2 else row)
        made.append(Sweep(context, places, rows))
    return made


def rows_to_play(knobs: Sequence[Parameter], contexts: int, passes: int) -> int:
    """How many notes sweeping some knobs plays."""
    return sum(len(places_of(parameter)) for parameter in knobs) * (contexts * passes + (passes == 1))
