"""Which effect is it? Classifiers by cross-validation."""

from __future__ import annotations

from card_pages import STAND_IN, Card, Results, table
from timbre_data.models.evaluation.published import DHOOGHE

PITCHES = {
    "recognition-known": "known (`autofx163`)",
    "recognition-measured": "measured on the sound (`autofx163_sound`)",
}
COSTS = {
    "recognition-known": ("eleven effects", "Complete"),
    "recognition-families": ("six families", "Simplified"),
}
"""Trainings of Table 4.3: their classes, and what its rows call them."""


def page(results: Results) -> list[str]:
    """The tables of both comparisons."""
    parts = [STAND_IN, "![Confusion of the PyTorch MLP](recognition-confusion.png)"]
    for target, title in (("effect", "Eleven effects"), ("family", "Six families")):
        results.beside_comparison(f"recognition-{target}")
        text = results.texts.get(f"recognition-{target}/tables.md")
        parts += [f"## {title}", text] if text else []
    rows = [
        (what, f"{100 * results.metrics(run)['accuracy']:.1f} %", results.course(run), results.energy(run))
        for run, what in PITCHES.items()
        if run in results.runs
    ]
    if rows:
        head = ("pitch of the note", "accuracy", "training", "energy")
        parts.append(table("`class-mlp` on the eleven effects, one split by dry note", head, rows))
    costs = _costs(results)
    if costs:
        head = ("classes", "accuracy", "training", "energy")
        note = "GM is the report's monophonic guitar, Full its whole dataset; trained on a GPU there, on one core here."
        parts.append(table("What the training of `class-mlp` takes, one split by dry note", head, costs, note=note))
    return parts


def _costs(results: Results) -> list[tuple[str, ...]]:
    """Each training beside its own rows of Table 4.3."""
    rows: list[tuple[str, ...]] = []
    for run, (what, title) in COSTS.items():
        if run not in results.runs:
            continue
        accuracy = f"{100 * results.metrics(run)['accuracy']:.1f} %"
        rows.append((what, accuracy, f"{results.training(run)['seconds']:.0f} s", results.energy(run)))
        for size in ("GM", "Full"):
            theirs = results.published(run, f"{DHOOGHE}, Table 4.3, {title} {size}")
            spent = theirs.values
            rows.append((theirs.name, "-", f"{spent['training_seconds']:g} s", f"{spent['watt_hours']:g} Wh"))
    return rows


CARD = Card(
    title="Which effect is it?",
    recipes=("recognition",),
    texts=("recognition-*/tables.md",),
    page=page,
    pictures={"recognition-effect/confusion-class-mlp.png": "recognition-confusion.png"},
)
