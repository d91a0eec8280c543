"""Figures in the sentences of a card's notes. They are not typed: `{RUN: KEY/KEY, FORMAT}` is one of a run's results.

KEY leads into the metrics of the run's evaluation, or of another that is named first (`evaluation-on-takes/mse`), or to
`training/best/validation` and `training/last/train`, the losses of an epoch, or `settings/learning_rate`. In the place
of RUN stands a comparison's name or a study's (`RUN/spectral-DATASET`), too. FORMAT is Python's, without commas; with %
at its end the figure is a percentage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

REFERENCE = re.compile(r"\{([\w./-]+): ([^{}]+), ([^{},]+)\}")
KEY = re.compile(r"(?<! )/(?! )")
"""What parts the keys of a reference; a slash between spaces is of a key."""
MEASURED = re.compile(r"(?<![\w./^-])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?(?!\.?\d)(?=( ?%| ?dB\b)?)")
"""A number in a sentence; it counts as measured where it has a point or one of these units."""
NOT_MEASURED = re.compile(r"`[^`]*`|\]\([^)]*\)|\b(Section|Figure|Table)s? \w+(\.\d+)?")
"""Commands, addresses, and places in papers."""


def filled(notes: str, runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Notes with their figures, each from what is kept of `runs`. Raises `KeyError`, which says what is not there."""

    def figure(match: re.Match[str]) -> str:
        run, path, form = match.groups()
        value = _at(runs, run, KEY.split(path))
        percent = form.endswith("%")
        return f"{100 * value:{form[:-1]}f} %" if percent else f"{value:{form}}"

    return REFERENCE.sub(figure, notes)


def _at(runs: Mapping[str, Mapping[str, Any]], run: str, keys: Sequence[str]) -> float:
    """A number that is kept of a run or a comparison."""
    where: Any = runs.get(run)
    if where is not None and "evaluations" in where:
        losses = [{"train": train, "validation": validation} for train, validation in where["training"]["losses"]]
        best = min(losses, key=lambda one: one["validation"])
        outside = {"settings": where["settings"], "training": {**where["training"], "best": best, "last": losses[-1]}}
        where = {**where["evaluations"].get("evaluation", {}), **where["evaluations"], **outside}
    for key in keys:
        if isinstance(where, list):
            where = where[int(key)] if key.isdigit() and int(key) < len(where) else None
        else:
            where = where.get(key) if isinstance(where, Mapping) else None
    if isinstance(where, bool) or not isinstance(where, int | float):
        raise KeyError(f"{run}: {'/'.join(keys)}")
    return where


def typed(notes: str) -> list[tuple[int, str, bool]]:
    """Figures of notes that count as measured and are no reference: line, number, and whether it is a percentage."""
    found = []
    fenced = False
    for number, line in enumerate(notes.splitlines(), 1):
        fenced ^= line.startswith("```")
        if fenced or line.startswith(("    ", "#", "**")):
            continue
        said = NOT_MEASURED.sub(lambda match: " " * len(match[0]), REFERENCE.sub("", line))
        for match in MEASURED.finditer(said):
            if "." in match[0] or match[1]:
                found.append((number, match[0], "%" in (match[1] or "")))
    return found


def is_known(said: str, share: bool, known: Sequence[float]) -> bool:
    """Whether a number of a sentence is one of those, rounded as it is."""
    plain = said.replace(",", "")
    digits = plain.lower().split("e")[0]
    places = len(digits.partition(".")[2])
    power = int(plain.lower().partition("e")[2] or 0)
    step = 0.5000001 * 10.0 ** (power - places)
    scales = (100.0, 1.0) if share else (1.0,)
    return any(abs(scale * one - float(plain)) <= step for one in known for scale in scales)


def leaves(value: Any) -> list[float]:
    """All numbers in what was kept."""
    if isinstance(value, Mapping):
        return [leaf for one in value.values() for leaf in leaves(one)]
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in leaves(one)]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    return [float(value)]
