"""Phonemes of singing: do filters shaped after timbre beat small ones, and what decides it?"""

from __future__ import annotations

import numpy as np

from card_pages import Card, Results, number, table
from card_pages.several_seeds import paired, seeds
from timbre_data.models.evaluation.published import PONS

SHAPES, TABLE = "phoneme-shapes", "phonemes"
NETWORKS = ("proposed", "small-rectangular")
ROWS = {"proposed": "Proposed", "small-rectangular": "Small-rectangular", "gmm": "GMMs", "mlp": "MLP"}


def page(results: Results) -> list[str]:
    """Five seeds of two networks, then the conditions changed one at a time, then Table I."""
    parts = [
        "A made singing voice, `sung-phonemes`: a **stand-in** for recorded jingju a cappella. The paper's figures stand beside and do not compete."
    ]
    runs = {name: seeds(results, f"{SHAPES}-{name}") for name in NETWORKS}
    title = "Frames of held-out singers named right (dan)"
    parts += paired(results, runs, "accuracy", "frame accuracy", title, "Table I, {}, dan")
    rows = [
        _mean(results, "each its own tract, Adam", runs),
        _mean(
            results,
            "one tract for all, Adam",
            {name: seeds(results, f"{SHAPES}-one-tract-{name}") for name in NETWORKS},
        ),
        _mean(
            results,
            "each its own tract, SGD at 0.001",
            _kept(results, (f"{SHAPES}-sgd-proposed", f"{SHAPES}-sgd-small-rectangular")),
        ),
        _mean(
            results,
            "each its own tract, SGD at 0.001 and at 0.02",
            _kept(results, (f"{SHAPES}-sgd-proposed", f"{SHAPES}-sgd-fast-small-rectangular")),
        ),
    ]
    rows = [row for row in rows if row]
    if len(rows) > 1:
        head = ("singers, optimiser", "seeds", *(f"`{name}`" for name in NETWORKS), "difference")
        parts.append(table("Frame accuracy with the conditions changed one at a time", head, rows))
    every = [run for each in runs.values() for run in each]
    if every:
        losses = {run: results.training(run)["losses"] for run in every}
        ends = [
            (
                name,
                *(number(float(np.mean([losses[run][-1][k] for run in each]))) for k in (0, 1)),
                *(_range(results, each, key) for key in ("epochs", "seconds")),
            )
            for name, each in runs.items()
        ]
        head = ("network", "training loss, last epoch, mean", "validation loss", "epochs", "seconds")
        parts += [
            table("How far they were trained", head, ends),
            "![First-layer filters of `Proposed`, by shape: those with the largest weights](phonemes-filters.png)",
        ]
    for role in ("dan", "laosheng"):
        rows = []
        for name, row in ROWS.items():
            run = f"{TABLE}-{role}-{name}"
            if run in results.runs:
                found = results.metrics(run)
                theirs = results.paper(run, f"{PONS}, Table I, {row}, {role}", "accuracy")
                rows.append(
                    (
                        name,
                        str(found["parameters"]),
                        f"{found['accuracy']:.3f}",
                        theirs,
                        results.course(run),
                        results.energy(run),
                    )
                )
        if rows:
            head = ("network", "parameters", "frame accuracy", "paper, on recordings", "training", "energy")
            parts.append(table(f"Table I, {role}: until the validation loss stops falling", head, rows))
    return parts


def _kept(results: Results, runs: tuple[str, str]) -> dict[str, list[str]]:
    """One run of each network, where it is kept."""
    return {name: [run] if run in results.runs else [] for name, run in zip(NETWORKS, runs, strict=True)}


def _mean(results: Results, what: str, runs: dict[str, list[str]]) -> tuple[str, ...]:
    """Mean accuracies of both networks, over as many seeds as both have."""
    count = min(len(each) for each in runs.values())
    if not count:
        return ()
    first, second = (
        float(np.mean([results.metrics(run)["accuracy"] for run in each[:count]])) for each in runs.values()
    )
    return what, str(count), f"{first:.4f}", f"{second:.4f}", f"{first - second:+.4f}"


def _range(results: Results, runs: list[str], key: str) -> str:
    values = [results.training(run)[key] for run in runs]
    low, high = min(values), max(values)
    return f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"


CARD = Card(
    title="Phonemes of singing",
    recipes=(SHAPES, TABLE),
    page=page,
    pictures={f"{SHAPES}-proposed-0/evaluation/filters.png": "phonemes-filters.png"},
    seeds="with the seeds that its tables say",
)
