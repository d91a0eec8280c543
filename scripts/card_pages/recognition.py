"""Which effect is it? Classifiers by cross-validation."""

from __future__ import annotations

from card_pages import STAND_IN, Card, Results, table

PITCHES = {
    "recognition-known": "known (`autofx163`)",
    "recognition-measured": "measured on the sound (`autofx163_sound`)",
}


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
    return parts


CARD = Card(
    title="Which effect is it?",
    recipes=("recognition",),
    texts=("recognition-*/tables.md",),
    page=page,
    pictures={"recognition-effect/confusion-class-mlp.png": "recognition-confusion.png"},
)
