"""Checking a synth profile: every knob of the running program is swept, judged and, where it is masked, explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from timbre_data.pipeline.build import recipes
from timbre_data.pipeline.build.isolation import measured_isolation
from timbre_data.pipeline.build.plan import Plan
from timbre_data.pipeline.build.profiling.bench import RATE, SECONDS, Bench
from timbre_data.pipeline.build.profiling.masking import Mask, Masks
from timbre_data.pipeline.build.profiling.sweeping import (
    Sweep,
    errors_of,
    find_contexts,
    passes_for,
    rows_to_play,
    sweep,
)
from timbre_data.pipeline.build.profiling.timing import Timing, measure_timing
from timbre_data.pipeline.build.profiling.verdicts import Verdict, exchanged, judge, promise_of
from timbre_data.pipeline.catalogue.progress import NoProgress, Progress
from timbre_data.pipeline.synths.hosting.trust import require_program
from timbre_data.pipeline.synths.midi import MidiSettings
from timbre_data.schemas.errors import UnknownNameError
from timbre_data.schemas.profile import Profile

PROBLEMS = {
    "dead": "dead",
    "inverted": "inverted",
    "exchanged": "exchanged",
    "noisy": "noisy",
    "other": "does something else",
    "masked": "masked",
}
"""Problems of a knob, as they are told."""


@dataclass(frozen=True)
class Check:
    """What a check found: a verdict for each knob, what masks it, its sweeps (one per context), the times that the
    program needs, and how its rows must be isolated (None where that was not measured).
    """

    profile: Profile
    noise_db: float
    verdicts: Sequence[Verdict]
    masks: Mapping[str, Mask]
    sweeps: Mapping[str, Sequence[Sweep]]
    timing: Timing
    isolation: Mapping[str, Any] | None

    @property
    def problems(self) -> list[Verdict]:
        """Knobs that do not do what they should."""
        return [verdict for verdict in self.verdicts if verdict.problem]

    @property
    def short_times(self) -> dict[str, tuple[float, float]]:
        """Times of the profile that are too short: what it has, and what was measured, with some room on top."""
        timing = self.timing
        needed = {"control_seconds": timing.control, "settle_seconds": timing.settle, "start_seconds": timing.start}
        return {
            name: (getattr(self.profile, name), timing.proposed[name])
            for name, seconds in needed.items()
            if seconds is not None and seconds > getattr(self.profile, name)
        }


def check_profile(
    settings: MidiSettings,
    *,
    knobs: Sequence[str] = (),
    seed: int = 0,
    isolation: bool = True,
    progress: Progress | None = None,
) -> Check:
    """Sweep the knobs of a profile (all, or those named) and judge them. Raises `SynthError` where nothing sounds,
    `UnknownNameError` for a knob that is not there, and `UntrustedError`.
    """  # fmt: skip
    profile, space = settings.profile, settings.profile.space()
    for name in knobs:
        if name not in space.names:
            raise UnknownNameError("knob", name, space.names)
    require_program(profile)
    progress = progress or NoProgress()
    chosen = [parameter for parameter in space if not knobs or parameter.name in knobs]
    with Bench(settings, progress) as bench:
        progress.notice("looking for patches that sound")
        contexts = find_contexts(bench, seed)
        passes, noise = passes_for(contexts), max(context.noise_db for context in contexts)
        if passes > 1:
            progress.notice(f"two renders of one patch are {noise:.1f} dB apart: every sweep is made {passes} times")
        progress.start("sweep", rows_to_play(chosen, len(contexts), passes), SECONDS, "notes")
        bench.counting = True
        sweeps = {parameter.name: sweep(bench, contexts, parameter, passes) for parameter in chosen}
        bench.counting = False
        progress.stop()
        errors = errors_of([one for each in sweeps.values() for one in each])
        recorded = {parameter.name: parameter.response for parameter in profile.parameters}
        promises = {p.name: promise_of(p.name, p.description, recorded[p.name]) for p in chosen}
        verdicts = [judge(p, sweeps[p.name], errors, promises[p.name]) for p in chosen]
        partners: dict[str, str] = {}
        for a, b in exchanged(verdicts, promises):
            partners |= {a: b, b: a}
        verdicts = [_with_partner(verdict, partners.get(verdict.name, "")) for verdict in verdicts]
        masks: dict[str, Mask] = {}
        look = Masks(bench, errors, passes)
        for parameter in chosen:
            if space[parameter.name].condition is None and not all(one.heard(errors) for one in sweeps[parameter.name]):
                progress.notice(f"what masks {parameter.name}")
                mask = look.of(parameter, sweeps[parameter.name])
                if mask is not None:
                    masks[parameter.name] = mask
        verdicts = [_with_mask(verdict, masks.get(verdict.name)) for verdict in verdicts]
        timing = measure_timing(bench, [context.patch for context in contexts], noise)
    return Check(profile, noise, verdicts, masks, sweeps, timing, _isolation(settings, progress) if isolation else None)


def _with_partner(verdict: Verdict, partner: str) -> Verdict:
    if not partner:
        return verdict
    return dataclasses.replace(verdict, problem="exchanged", partner=partner, text=f"with {partner}: {verdict.text}")


def _with_mask(verdict: Verdict, mask: Mask | None) -> Verdict:
    """A knob that looked dead and is masked is not dead; one that a switch masks needs `when` in the profile."""
    if mask is None:
        return verdict
    if verdict.problem == "dead" or (not verdict.problem and mask.condition is not None):
        return dataclasses.replace(verdict, problem="masked" if mask.condition else "", text=f"{mask}; {verdict.text}" if verdict.problem != "dead" else str(mask))  # fmt: skip
    return dataclasses.replace(verdict, notes=(*verdict.notes, str(mask)))


def _isolation(settings: MidiSettings, progress: Progress) -> dict[str, Any] | None:
    data = {
        "name": settings.profile.name,
        "n": 64,
        "audio": {"rate": RATE, "seconds": 1.0},
        "chain": [{"synth": "midi", "settings": settings.model_dump(mode="json")}],
    }
    return measured_isolation(Plan(recipes.load(data)), progress)


def as_data(check: Check) -> dict[str, Any]:
    """A check as plain data: what `--json` prints."""
    knobs = []
    for verdict in check.verdicts:
        mask = check.masks.get(verdict.name)
        condition = mask.condition if mask else None
        knobs.append(
            {
                "name": verdict.name,
                "problem": verdict.problem,
                "text": verdict.text,
                "with": verdict.partner,
                "masked_by": str(mask) if mask else "",
                "when": condition.model_dump(mode="json", exclude_defaults=True) if condition else None,
                "response": dict(verdict.response),
                "r": round(verdict.r, 3) if np.isfinite(verdict.r) else None,
                "effect_db": round(verdict.effect_db, 2),
                "repeat_db": round(verdict.repeat_db, 2) if np.isfinite(verdict.repeat_db) else None,
                "notes": list(verdict.notes),
            }
        )
    timing = check.timing
    return {
        "profile": check.profile.name,
        "problems": len(check.problems),
        "noise_db": round(check.noise_db, 2),
        "knobs": knobs,
        "measured_seconds": {"start": round(timing.start, 2), "control": timing.control, "settle": None if timing.settle is None else round(timing.settle, 2)},
        "proposed": timing.proposed,
        "too_short": {name: {"now": now, "proposed": then} for name, (now, then) in check.short_times.items()},
        "isolation": check.isolation,
    }  # fmt: skip


def as_text(check: Check) -> str:
    """A check as a person reads it."""
    width = max(len(verdict.name) for verdict in check.verdicts)
    lines = []
    for verdict in check.verdicts:
        r = f"  (r = {verdict.r:.2f})" if np.isfinite(verdict.r) else ""
        mark = PROBLEMS[verdict.problem].upper() + ": " if verdict.problem else ""
        lines.append(f"{verdict.name:<{width}}  {mark}{verdict.text}{r}")
        lines += [f"{'':<{width}}  note: {note}" for note in verdict.notes]
    timing = check.timing
    settle = "more than can be waited for" if timing.settle is None else f"{timing.settle:.2f} s"
    control = "not found" if timing.control is None else f"{timing.control:.2f} s"
    lines.append("")
    lines.append(
        f"times: it starts in {timing.start:.1f} s; a controller arrives in {control}; a note is gone after {settle}"
    )
    lines += [f"       {name} is {now:g}, and should be {then:g}" for name, (now, then) in check.short_times.items()]
    lines.append(f"noise: two renders of one patch are {check.noise_db:.2f} dB apart")
    if check.isolation:
        lines.append(
            f"isolation: {check.isolation['mode']} ({check.isolation['verdict']}); every dataset measures it anew"
        )
    good = len(check.verdicts) - len(check.problems)
    lines.append(f"{check.profile.name}: {good} of {len(check.verdicts)} knobs do what they should")
    return "\n".join(lines)
