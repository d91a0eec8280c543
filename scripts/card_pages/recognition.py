"""Which effect is it? Classifiers by cross-validation."""

from __future__ import annotations

from card_pages import STAND_IN, Card, Results, table
from timbre_data.models.evaluation.published import DHOOGHE

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
    families = "recognition-families"
    rows = [
        (what, f"{100 * results.metrics(run)['accuracy']:.1f} %", results.course(run), results.energy(run))
        for run, what in PITCHES.items()
        if run in results.runs
    ]
    if rows:
        head = ("pitch of the note", "accuracy", "training", "energy")
        parts.append(table("`class-mlp` on the eleven effects, one split by dry note", head, rows))
    costs = {"eleven effects": "recognition-known", "six families": families}
    costs = {what: run for what, run in costs.items() if run in results.runs}
    if families in costs.values():
        spent = []
        for what, run in costs.items():
            found = results.training(run)
            spent.append(
                (
                    what,
                    f"{100 * results.metrics(run)['accuracy']:.1f} %",
                    f"{found['seconds']:.0f} s",
                    f"{found['watt_hours']:.2g} Wh",
                )
            )
            for size in ("GM", "Full"):
                row = f"{'Simplified' if run == families else 'Complete'} {size}"
                theirs = results.published(run, f"{DHOOGHE}, Table 4.3, {row}")
                spent.append(
                    (
                        theirs.name,
                        "-",
                        *(
                            f"{theirs.values[key]:g} {unit}"
                            for key, unit in (("training_seconds", "s"), ("watt_hours", "Wh"))
                        ),
                    )
                )
        head = ("classes", "accuracy", "training", "energy")
        note = "GM is the report's monophonic guitar, Full its whole dataset; trained on a GPU there, on one core here."
        parts.append(table("What the training of `class-mlp` takes, one split by dry note", head, spent, note=note))
    return parts


CARD = Card(
    title="Which effect is it?",
    recipes=("recognition",),
    texts=("recognition-*/tables.md",),
    page=page,
    pictures={"recognition-effect/confusion-class-mlp.png": "recognition-confusion.png"},
)
