"""The instrument CNN on its paper's four classes, and what its paper names as next steps."""

from __future__ import annotations

from pathlib import Path

from card_pages import Card, Results, number, table
from card_pages.curves import draw_losses
from timbre_data.models.evaluation.published import SIVALINGAM

RECIPE = "instruments-four"
VARIANTS = {
    "published": "as published: mel bands, averaged",
    "recurrent": "a recurrent layer over time",
    "attention": "attention over places",
    "constant-q": "constant-Q bins",
}


def page(results: Results) -> list[str]:
    """Accuracies, and what each class became."""
    rows = []
    for name, what in VARIANTS.items():
        run = f"{RECIPE}-{name}"
        if run not in results.runs:
            continue
        found, losses = results.metrics(run), results.training(run)["losses"]
        beside = "-"
        if name == "published":
            beside = f"{100 * results.published(run, f'{SIVALINGAM}, results, accuracy').values['accuracy']:.2f} %"
        rows.append(
            (
                what,
                str(found["parameters"]),
                f"{100 * found['accuracy']:.1f} %",
                beside,
                number(losses[-1][0]),
                number(min(one[1] for one in losses)),
                results.course(run),
                results.energy(run),
            )
        )
    head = (
        "network",
        "parameters",
        "accuracy",
        "paper, on recordings",
        "training loss, last",
        "validation loss, best",
        "training",
        "energy",
    )
    return [
        "Phrases by programs of one General MIDI SoundFont: a **stand-in** for IRMAS. Drums are its standard kit. Test phrases are by programs that were never heard where an instrument has several; 800 phrases, eight epochs, where the paper allows 60 and stopped after 48.",
        table(
            "Piano, drums, flute and other: test phrases named right",
            head,
            rows,
            note="The paper's accuracy is of excerpts of recorded songs, divided by excerpt.",
        ),
        "![Losses of each epoch](instruments-four-curves.png)",
        "![Confusion of the published network](instruments-four-confusion.png)",
    ]


def draw(results: Results, pages: Path) -> None:
    """The losses of each training."""
    runs = {name: f"{RECIPE}-{name}" for name in VARIANTS if f"{RECIPE}-{name}" in results.runs}
    draw_losses(results, runs, "cross-entropy", pages / "instruments-four-curves.png")


CARD = Card(
    title="Instruments in four classes",
    recipes=(RECIPE,),
    page=page,
    draw=draw,
    pictures={f"{RECIPE}-published/evaluation/confusion.png": "instruments-four-confusion.png"},
)
