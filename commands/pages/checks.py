"""Rules by which rows are suspect, and the rows that break them most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.commands.pages.row_table import Column, column

WORST = 8
"""Rows that are shown of each rule."""


@dataclass(frozen=True)
class Rule:
    """Rows whose `key` is beyond a limit are suspect: above it, or with `below` under it. A limit "of the length" is a
    share of it.
    """

    name: str
    key: str
    limit: float
    why: str
    below: bool = False
    share_of_length: bool = False


RULES = (
    Rule("effect cannot be heard", "effect_db", -60.0, "the effects change less than a thousandth of the sound", below=True),
    Rule("flat tops", "flat_top", 1.0, "samples stand still at the peak: clipped, or meant so by a distortion"),
    Rule("silent tail", "silence_after", 0.5, "more than half of the length is silence after the sound", share_of_length=True),
    Rule("late onset", "silence_before", 0.1, "more than a tenth of the length passes before the sound", share_of_length=True),
    Rule("quiet", "level_db", -50.0, "hardly any level before it was stored: noise of the storing is raised", below=True),
    Rule("offset", "offset", 0.05, "the mean of the samples is not zero"),
    Rule("drawn again", "redrawn", 0.0, "the first parameters gave silence; others were drawn"),
    Rule("failed", "failed", 0.0, "they could not be made: their sound is silence"),
)  # fmt: skip


def check_rows(columns: Sequence[Column], seconds: float) -> list[dict[str, Any]]:
    """What each rule found: how many rows break it, and the worst of them."""
    found = []
    for rule in RULES:
        one = column(columns, rule.key)
        if one is None:
            continue
        limit = rule.limit * seconds if rule.share_of_length else rule.limit
        broken = broken_by(one.values.astype(np.float64), limit, rule)
        found.append(
            {
                "name": rule.name,
                "why": rule.why,
                "column": rule.key,
                "limit": limit,
                "below": rule.below,
                "count": len(broken),
                "rows": broken[:WORST].tolist(),
            }
        )
    return found


def broken_by(values: NDArray[np.float64], limit: float, rule: Rule) -> NDArray[np.int64]:
    """The rows beyond a limit, the worst first."""
    beyond = np.where(np.isfinite(values), limit - values if rule.below else np.abs(values) - limit, -1.0)
    rows = np.flatnonzero(beyond > 0)
    return rows[np.argsort(-beyond[rows], kind="stable")]
