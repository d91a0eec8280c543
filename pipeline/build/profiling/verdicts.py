"""What a sweep says of a knob: that it does what it should, or that it is dead, inverted, exchanged with another, or
noisy.

What it should do is what the profile has recorded (`response`), else what its name says: a "cutoff" makes a sound
brighter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from timbre_data.pipeline.build.profiling.quantities import QUANTITIES, FloatArray
from timbre_data.pipeline.build.profiling.sweeping import Sweep
from timbre_data.schemas.parameter import Parameter

LARGEST, KEPT = 4.0, 6
"""Changes above so many `scale`s count no more, and so many of the largest are recorded."""
ALIKE, UNLIKE = 0.5, -0.5
"""How well a response must keep to what was recorded, and from where on it is the opposite."""
EXCHANGE_GAIN = 0.4
NOISY = 0.5
SLOPE_IN_ERRORS = 4.5
WORDS = (
    (r"volume|level|loudness|gain|drawbar|expression|swell", "level"),
    (r"cut[ _-]?off|brightness|tone", "brightness"),
    (r"attack", "attack"),
    (r"sustain", "sustain"),
    (r"release", "release"),
    (r"tune|pitch|transpose|octave|coarse", "pitch"),
    (r"pan|balance", "balance"),
    (r"stereo width|spread", "width"),
    (r"noise", "noise"),
)
"""What a word in a knob's name (or, failing that, its description) promises to raise."""
NO_PROMISE = re.compile(
    r"filter_?(env|attack|decay|sustain|release)|mod_|lfo|envelope|detune|velocity|track|noise_?(gate|filter)"
)
MIDDLE = "_middle"
"""Suffix of a quantity of which the middle of a knob's range differs from its ends."""

Response = Mapping[str, float]


@dataclass(frozen=True)
class Verdict:
    """One knob, judged. `problem` is empty where it does what it should; `r` the correlation of the knob with the
    quantity that decided, `partner` the knob it is exchanged with.
    """

    name: str
    problem: str
    text: str
    response: Response
    r: float = float("nan")
    effect_db: float = 0.0
    repeat_db: float = 0.0
    partner: str = ""
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Promise:
    """What a knob should raise, and whether that was measured once (`recorded`) or is what its name says."""

    response: Response
    recorded: bool

    def fit(self, response: Response) -> float:
        """How well a response keeps it: 1 fully, 0 not at all, -1 the opposite."""
        if self.recorded:
            return likeness(self.response, response)
        return max(
            (float(np.clip(_scaled(name, response.get(name, 0.0)), -1, 1)) for name in self.response), default=0.0
        )


def promise_of(name: str, description: str, recorded: Response) -> Promise:
    """What was recorded of a knob, or what its name or its description says; nothing where they say nothing."""
    if recorded:
        return Promise(recorded, recorded=True)
    for text in (name.lower(), description.lower()):
        if NO_PROMISE.search(text):
            break
        for pattern, quantity in WORDS:
            if re.search(rf"(?<![a-z])({pattern})(?![a-z])", text):
                return Promise({quantity: QUANTITIES[quantity].scale}, recorded=False)
    return Promise({}, recorded=False)


def response_of(sweeps: Sequence[Sweep], errors: FloatArray) -> tuple[dict[str, float], dict[str, float]]:
    """By how much each quantity changes over a knob's range (`_middle`: its middle against its ends), mean of the
    contexts in which the knob is heard, where it is more than chance; and its correlation with the knob.
    """
    heard = [sweep for sweep in sweeps if sweep.heard(errors)]
    changes: dict[str, float] = {}
    correlations: dict[str, float] = {}
    for q, (name, quantity) in enumerate(QUANTITIES.items()):
        lines, bends = [], []
        for sweep in heard:
            values = sweep.means[:, q]
            known = np.isfinite(values)
            if known.sum() >= max(2, 0.6 * len(values)):
                lines.append(_line(sweep.places[known], values[known]))
                bends.append(_bend(sweep.places[known], values[known]))
        if not lines:
            continue
        renders = sum(len(sweep.passes) for sweep in heard) * len(heard[0].places)
        least = max(quantity.least, SLOPE_IN_ERRORS * float(errors[q]) / np.sqrt(renders / 9))
        change, bend = (float(np.mean(each)) for each in ([line[0] for line in lines], bends))
        if abs(change) > least:
            changes[name], correlations[name] = change, float(np.mean([line[1] for line in lines]))
        if abs(bend) > max(least, abs(change)):
            changes[name + MIDDLE] = bend
    largest = sorted(changes, key=lambda name: -abs(_scaled(name, changes[name])))[:KEPT]
    return {name: float(f"{changes[name]:.3g}") for name in largest}, correlations


def likeness(one: Response, other: Response) -> float:
    """Cosine of two responses, each quantity in its scale: 1 the same, -1 the opposite."""
    names = sorted({*one, *other})
    a, b = (np.array([_scaled(name, each.get(name, 0.0)) for name in names]) for each in (one, other))
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float(a @ b) / size if size else 0.0


def judge(parameter: Parameter, sweeps: Sequence[Sweep], errors: FloatArray, promised: Promise) -> Verdict:
    """Judge one knob by itself."""
    effect = max(sweep.effect_db for sweep in sweeps)
    repeat, noise = sweeps[0].repeat_db, max(sweep.context.noise_db for sweep in sweeps)
    response, correlations = response_of(sweeps, errors)
    told = describe(response)
    heard = [sweep for sweep in sweeps if sweep.heard(errors)]
    decisive = next(iter(promised.response), next(iter(response), ""))
    if decisive == "level" and decisive not in correlations:  # of one part of the sound
        decisive = next((name for name in response if name.startswith("partial") and MIDDLE not in name), decisive)
    r = correlations.get(decisive, correlations.get(next(iter(response), ""), float("nan")))
    problem, text = "", told
    if not heard:
        problem = "dead"
        text = f"nothing changes over its whole range (by {effect:.1f} dB; two renders of one patch: {noise:.1f} dB)"
    elif repeat > max(NOISY * effect, 2 * noise):
        problem = "noisy"
        text = f"two renders at one place differ by {repeat:.1f} dB, its whole range by {effect:.1f} dB"
    elif promised.recorded and promised.fit(response) < UNLIKE:
        problem, text = "inverted", f"it runs backwards: {told}; recorded was {describe(promised.response)}"
    elif promised.recorded and promised.fit(response) < ALIKE:
        problem, text = "other", f"{told}; recorded was {describe(promised.response)}"
    elif promised.response and not promised.recorded and correlations.get(decisive, 0.0) < 0:
        problem = "inverted"
        text = f"it runs backwards: {_told(decisive, response.get(decisive, -0.0))} as it rises" if decisive in response else f"it runs backwards: {decisive} falls as it rises"  # fmt: skip
    elif promised.response and not promised.recorded and decisive not in correlations:
        text = f"{told}; no change of {decisive}, which its name promises"
    return Verdict(parameter.name, problem, text, response, r, effect, repeat, notes=_notes(parameter, heard))


def exchanged(verdicts: Sequence[Verdict], promises: Mapping[str, Promise]) -> list[tuple[str, str]]:
    """Pairs of knobs of which each does what the other should."""
    fits = {(a.name, b.name): promises[a.name].fit(b.response) for a in verdicts for b in verdicts}
    found: list[tuple[float, str, str]] = []
    for a, b in combinations([v.name for v in verdicts if promises[v.name].response and v.response], 2):
        gains = fits[a, b] - fits[a, a], fits[b, a] - fits[b, b]
        if sum(gains) > EXCHANGE_GAIN and min(gains) > 0.1 and min(fits[a, b], fits[b, a]) > 0.6:
            found.append((sum(gains), a, b))
    pairs: list[tuple[str, str]] = []
    taken: set[str] = set()
    for _, a, b in sorted(found, reverse=True):
        if not {a, b} & taken:
            pairs.append((a, b))
            taken |= {a, b}
    return pairs


def describe(response: Response) -> str:
    """The two largest changes in words."""
    if not response:
        return "the sound changes, no quantity in one direction"
    return ", ".join(_told(name, change) for name, change in list(response.items())[:2])


def _told(name: str, change: float) -> str:
    quantity = name.removesuffix(MIDDLE)
    where = " in the middle" if name.endswith(MIDDLE) else ""
    return f"{quantity.replace('_', ' ')} {change:+.3g} {QUANTITIES[quantity].unit}{where}"


def _notes(parameter: Parameter, heard: Sequence[Sweep]) -> tuple[str, ...]:
    if not heard or parameter.steps or heard[0].context.noise_db > 0.1:
        return ()
    distinct = max(sweep.distinct for sweep in heard)
    return (f"only {distinct} different sounds at {len(heard[0].places)} places",) if distinct <= 3 else ()


def _scaled(name: str, change: float) -> float:
    scale = QUANTITIES[name.removesuffix(MIDDLE)].scale if name.removesuffix(MIDDLE) in QUANTITIES else 1.0
    return float(np.clip(change / scale, -LARGEST, LARGEST))


def _line(places: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Change over the whole range by least squares, and the correlation."""
    x, y = places - places.mean(), values - values.mean()
    slope = float((x * y).sum() / max((x**2).sum(), 1e-12))
    size = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return slope, float((x * y).sum()) / size if size else 0.0


def _bend(places: FloatArray, values: FloatArray) -> float:
    inner = (places > 0.3) & (places < 0.7)
    return float(values[inner].mean() - values[~inner].mean()) if inner.any() and (~inner).any() else 0.0
