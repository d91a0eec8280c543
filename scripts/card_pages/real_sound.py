"""Recorded sound: what networks of rendered sounds make of it."""

from __future__ import annotations

from card_pages import Card, Results, number, table
from card_pages.equalisation import HEAD, WHERE, losses_beside, responses
from card_pages.held_out import RECORDED

COLUMNS = tuple((made, where) for made in ("plain", "varied") for where in ("evaluation", RECORDED))


def page(results: Results) -> list[str]:
    """One classifier and one regressor, plain and varied, on their own sounds and on recordings; equalisers."""
    parts = [
        "Recorded notes: eighteen instruments of the npm packages tonejs-instrument-*-mp3 and the Salamander Grand Piano (`scripts/get-sounds`), through this project's effects with known settings."
    ]
    parts += _beside(
        results,
        "class",
        "Which of three effects (class-mlp, 163 features): accuracy, and recall of each",
        "accuracy",
        "classes",
        "recall",
    )
    parts += _beside(
        results, "cnn", "Parameters (inverse-cnn): mean skill, and skill of each", "skill", "parameters_each", "skill"
    )
    rows = losses_beside(results, "equalisation-salamander")
    if rows:
        runs = [run for run in results.runs if run.startswith("equalisation-salamander-")]
        parts += [
            table(
                "Equalisers on the Salamander piano: losses over 48 held-out notes (pitch class B), beside the same target of the paper's Table 2",
                HEAD,
                rows,
                note="The paper gives the loss of the input for the shelf only. Notes at -10 dB; on what level it measured is not known.",
            ),
            responses(results, runs, f"Learned response against the target's, {WHERE}"),
        ]
    return parts


def _beside(results: Results, kind: str, title: str, headline: str, each: str, value: str) -> list[str]:
    columns = [results.metrics(f"real-sound-{kind}-{made}", where) for made, where in COLUMNS]
    if not any(columns):
        return []
    first = next(one for one in columns if one)
    rows = [(headline, *(number(one.get("true", one).get(headline)) if one else "-" for one in columns))]
    rows += [(name, *(number(one[each][name][value]) if one else "-" for one in columns)) for name in first[each]]
    return [
        table(title, ("", "plucked string: its own", "recordings", "many sources, varied: its own", "recordings"), rows)
    ]


CARD = Card(
    title="Real sound",
    recipes=("real-sound", "equalisation-salamander"),
    page=page,
)
