"""Instruments: the timbre CNNs and the instrument CNN on stand-ins."""

from __future__ import annotations

import numpy as np

from card_pages import Card, Results, number, table
from card_pages.several_seeds import seeds
from timbre_data.models.evaluation.published import PONS

NETWORKS = {"single": "Single-layer", "multi": "Multi-layer", "han": "Han et al.", "svm": "Bosch et al."}
TALL = "single-tall"
"""The single layer with m = 50 in the place of 5, of which the paper has words and no row."""
OTHER = "sum / largest > 0.5"
"""Another rule of what is named: sums over a phrase, as shares of the largest."""
SCORES = tuple(f"{average}_{score}" for average in ("micro", "macro") for score in ("precision", "recall", "f1"))


def page(results: Results) -> list[str]:
    """The instrument CNN, and Table II."""
    parts = [
        "All on rendered **stand-ins**: figures of the papers, on real recordings, stand beside them and do not compete."
    ]
    many = seeds(results, "instrument-cnn-cnn")
    if many:
        each = np.array([results.metrics(run)["accuracy"] for run in many])
        said = (f"{100 * each.mean():.1f} %", f"{100 * each.std(ddof=1):.1f}" if len(each) > 1 else "-", str(len(each)))
        head = ("mean accuracy", "deviation", "seeds")
        parts.append(table("`instrument-cnn` by seven SoundFonts, held-out programs (a stand-in)", head, [said]))
    cnn = results.metrics("instruments-cnn")
    if cnn:
        parts += [
            table(
                "Instruments: `instrument-cnn` on single General MIDI instruments (a stand-in; the paper's accuracy is of four classes, not of these)",
                ("accuracy", "phrases"),
                [(f"{100 * cnn['accuracy']:.1f} %", str(cnn["clips"]))],
            ),
            "![Confusion of the eleven instruments](instruments-confusion.png)",
        ]
    rows = []
    for name, paper in {**NETWORKS, TALL: None}.items():
        found = results.metrics(f"instruments-{name}")
        if found:
            ours = found["thresholds"]["mean > 0.2"]
            what = found["model"] if paper else f"{found['model']}, m = 50 in the place of 5"
            run = f"instruments-{name}"
            rows.append(
                (
                    what,
                    str(found["parameters"]),
                    *(number(ours[key]) for key in SCORES),
                    results.course(run),
                    results.energy(run),
                )
            )
            if paper:
                theirs = results.published(f"instruments-{name}", f"{PONS}, Table II, {paper}")
                rows.append((theirs.name, "-", *(number(theirs.values[key]) for key in SCORES), "-", "-"))
    if rows:
        parts.append(
            table(
                "Which instruments play: `gm-mixtures`, test phrases of one to five instruments, mean over 0.2 (a stand-in for Table II)",
                (
                    "network",
                    "parameters",
                    *(key.replace("_", " ").replace("f1", "F1") for key in SCORES),
                    "training, one core",
                    "energy",
                ),
                rows,
            )
        )
    by_shares = {name: results.metrics(f"instruments-{name}").get("thresholds", {}).get(OTHER) for name in NETWORKS}
    if any(by_shares.values()):
        head = ("network", *(key.replace("_", " ").replace("f1", "F1") for key in SCORES))
        lines = [
            (results.metrics(f"instruments-{name}")["model"], *(number(found[key]) for key in SCORES))
            for name, found in by_shares.items()
            if found
        ]
        parts.append(table("The same by the sum over a phrase as a share of the largest, over 0.5", head, lines))
    return parts


CARD = Card(
    title="Instruments",
    recipes=("instruments", "instrument-cnn"),
    page=page,
    pictures={
        "instruments-cnn/evaluation/confusion.png": "instruments-confusion.png",
    },
)
