"""Finding what masks a knob: the other knob at some of whose settings nothing of it is heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from timbre_data.pipeline.build.profiling.bench import Bench, Patch
from timbre_data.pipeline.build.profiling.quantities import FloatArray, distance_db
from timbre_data.pipeline.build.profiling.sweeping import LEAST_DB, Context, Sweep, at, places_of
from timbre_data.schemas.parameter import Condition, Parameter

PROBES = np.array([0.0, 0.5, 1.0])
SCANNED = 5
NOISE_FACTOR = 2.5


@dataclass(frozen=True)
class Mask:
    """A knob is heard while `by` is at one of `heard_at`, and not while it is at one of `dead_at` (normalized)."""

    by: Parameter
    heard_at: tuple[float, ...]
    dead_at: tuple[float, ...]

    @property
    def condition(self) -> Condition | None:
        """As a profile writes it; None where that cannot be said: only positions, and "above the lowest end"."""
        if self.by.kind in ("choice", "switch"):
            return Condition(
                parameter=self.by.name, values=tuple(float(self.by.to_value(place)) for place in self.heard_at)
            )
        if self.dead_at == (0.0,):
            return Condition(parameter=self.by.name, above=float(self.by.to_value(0.0)))
        return None

    def __str__(self) -> str:
        dead = ", ".join(self.by.describe(place) for place in self.dead_at)
        return f"not heard while {self.by.name} is {dead}"


class Masks:
    """Looks for masks on a bench, where single renders have the given standard errors."""

    def __init__(self, bench: Bench, errors: FloatArray, passes: int) -> None:
        self._bench, self._errors, self._passes = bench, errors, passes
        self._space = bench.profile.space()

    def of(self, parameter: Parameter, sweeps: Sequence[Sweep]) -> Mask | None:
        """What masks a knob that is not heard in some contexts, or in none; None where nothing is found."""
        heard = [sweep.heard(self._errors) for sweep in sweeps]
        dead = next(sweep.context for sweep, is_heard in zip(sweeps, heard, strict=True) if not is_heard)
        if any(heard):
            alive = sweeps[heard.index(True)].context.patch
            others = [p for p in self._others(parameter) if alive[p.name] != dead.patch[p.name]]
            found = self._first(parameter, dead, [(p, float(p.to_unit(alive[p.name]))) for p in others])
            return self._scan(parameter, found[0], alive, dead) if found else None
        if self._passes > 1:
            return None  # of so many settings that would be tried, some differ by chance
        tried = [
            (p, float(place)) for p in self._others(parameter) for place in (places_of(p) if p.steps else PROBES[::2])
        ]
        found = self._first(parameter, dead, tried)
        return self._scan(parameter, found[0], at(dead.patch, *found), dead) if found else None

    def _others(self, parameter: Parameter) -> list[Parameter]:
        """All other knobs, those with positions first: they switch things on and off."""
        return sorted((p for p in self._space if p.name != parameter.name), key=lambda p: p.steps == 0)

    def _first(
        self, parameter: Parameter, dead: Context, tried: Sequence[tuple[Parameter, float]]
    ) -> tuple[Parameter, float] | None:
        """The first setting of another knob with which a knob is heard after all, twice: of very many settings that
        are tried, one is different by chance.
        """
        for one in tried:
            patch = at(dead.patch, *one)
            if self._heard(parameter, patch, dead) and self._heard(parameter, patch, dead):
                return one
        return None

    def _scan(self, parameter: Parameter, by: Parameter, alive: Patch, dead: Context) -> Mask | None:
        """At which settings of another knob a knob is heard; those at which nothing sounds do not count."""
        places = [float(place) for place in (places_of(by) if by.steps else np.linspace(0, 1, SCANNED))]
        heard = {place: self._heard(parameter, at(alive, by, place), dead) for place in places}
        heard_at = tuple(place for place in places if heard[place])
        dead_at = tuple(place for place in places if heard[place] is False)
        return Mask(by, heard_at, dead_at) if heard_at and dead_at else None

    def _heard(self, parameter: Parameter, patch: Patch, like: Context) -> bool | None:
        """Whether a knob changes anything with a patch; None where nothing sounds."""
        places = places_of(parameter) if 0 < parameter.steps <= len(PROBES) else PROBES
        passes = max(self._passes, 2)
        notes = self._bench.notes([at(patch, parameter, float(place)) for _ in range(passes) for place in places])
        if all(note.silent for note in notes):
            return None
        rows = [notes[start : start + len(places)] for start in range(0, len(notes), len(places))]
        repeat = max(distance_db(a, b) for a, b in zip(rows[0], rows[1], strict=True))
        probe = Sweep(Context(patch, notes[0], max(repeat, like.noise_db)), places, rows)
        if self._passes == 1 and repeat > LEAST_DB / 2:  # a patch that does not repeat, on a bench that does
            return probe.effect_db > NOISE_FACTOR * repeat
        return probe.heard(self._errors)
