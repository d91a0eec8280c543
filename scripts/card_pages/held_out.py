"""Instruments that were never heard."""

from __future__ import annotations

from typing import Any

import numpy as np

from card_pages import Card, Results, number, table
from timbre_data.models.evaluation.tables import ranged

RECORDED = "evaluation-on-modulation-recorded-delay-recorded-distortion-recorded"


def page_of_runs(results: Results) -> list[str]:
    """Each run on the instruments that it held out, and the skill of each parameter."""
    return [
        "Three effects on recorded notes of eighteen instruments (`scripts/get-sounds recorded`); what is held out is so in all its variations.",
        _headlines(results),
        _parameters([results.metrics(run, RECORDED) for run in results.runs]),
    ]


def _headlines(results: Results) -> str:
    rows = []
    for run, kept in results.runs.items():
        found = results.metrics(run, RECORDED)
        sounds = found["sounds"]
        rows.append(
            (
                ", ".join(kept["settings"]["hold_out"]),
                results.course(run),
                results.energy(run),
                str(found["rows"]),
                ranged(found["recognition"]["accuracy"], found["recognition"]["interval"]),
                ranged(found["true"]["skill"], found["intervals"]["skill"]),
                number(found["true"]["skill_identifiable"]),
                number(found["audible"]["skill"]),
                ranged(sounds["median"]["model"]["logmel_db"], sounds["intervals"]["model"]["logmel_db"]),
            )
        )
    head = (
        "never heard",
        "training",
        "energy",
        "rows",
        "effect recognised",
        "skill over the mean",
        "mean skill, identifiable",
        "mean skill where heard",
        "re-rendered, log-mel dB",
    )
    return table(
        "regressor-cnn, learned from varied sounds and the other instruments: on recorded instruments that it never heard",
        head,
        rows,
        note="In brackets 95 % intervals. One seed each.",
    )


def _parameters(runs: list[dict[str, Any]]) -> str:
    means = {
        name: [number(float(np.mean([run["parameters_each"][name][key] for run in runs]))) for key in ("skill", "mae")]
        for name in runs[0]["parameters_each"]
    }
    rows = [(name, *values) for name, values in means.items()]
    return table(
        "Each parameter on recorded instruments that it never heard",
        ("parameter", "skill", "MAE"),
        rows,
        note="Normalized; 0 is the mean's skill, 1 is no error.",
    )


CARD = Card(title="Instruments never heard", recipes=("held-out",), page=page_of_runs)
