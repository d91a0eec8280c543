"""The end-to-end equaliser with what its paper names as next steps."""

from __future__ import annotations

from card_pages import Card, Results, number, table
from card_pages.equalisation import KEYS, WHERE, responses
from timbre_data.models.evaluation.published import MARTINEZ

RECIPE = "equalisation-variants"
VARIANTS = {
    "published": "as published",
    "recurrent": "a recurrent latent network",
    "warped": "a frequency-warped loss (trained by it, judged by the published one)",
}
SHOWN = ("recurrent", "warped")
"""Whose responses are drawn; the published design's is in the equaliser's own card."""


def page(results: Results) -> list[str]:
    """Losses and responses of each variant of the shelf."""
    runs = {name: run for name in VARIANTS if (run := f"{RECIPE}-{name}") in results.runs}
    rows = [
        (
            VARIANTS[name],
            str(results.metrics(run)["parameters"]),
            *(number(results.metrics(run)["losses"][key]) for key in KEYS),
            f"{results.metrics(run)['real_time']:.2f} x",
            f"{results.training(run)['seconds'] / 60:.1f} min",
            results.energy(run),
        )
        for name, run in runs.items()
    ]
    if "published" in runs:
        theirs = results.published(runs["published"], f"{MARTINEZ}, Table 2, shelving")
        rows.append((theirs.name, "-", *(number(theirs.values[key]) for key in KEYS), "-", "-", "-"))
    head = ("network, loss", "parameters", "KL", "MSE", "MAE", "sum", "real time", "training, one core", "energy")
    return [
        "Notes of a SoundFont's piano, a **stand-in** for the paper's sampled one; the shelf of its Table 2. The losses are the published ones for all three.",
        table("The shelf, held-out notes", head, rows),
        responses(results, list(runs.values()), f"Learned response against the target's, {WHERE}"),
        *(f"![Response of {VARIANTS[name]}](eq-variant-{name}-response.png)" for name in SHOWN if name in runs),
    ]


CARD = Card(
    title="Equaliser: next steps",
    recipes=(RECIPE,),
    page=page,
    pictures={f"{RECIPE}-{name}/evaluation/response.png": f"eq-variant-{name}-response.png" for name in SHOWN},
)
