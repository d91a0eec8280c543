"""Tags: the timbre CNNs on a stand-in for MagnaTagATune."""

from __future__ import annotations

from operator import itemgetter

from card_pages import Card, Results, number, table
from card_pages.several_seeds import paired, seeds
from timbre_data.models.evaluation.published import PONS

CLAIMED = ("proposed", "small-rectangular")
"""The networks between which the claim is decided: of several seeds."""

TAGGING = {
    "tag-shapes-proposed-0": "Proposed",
    "tagging-proposed-x2": "Proposed x2",
    "tagging-proposed-x4": "Proposed x4",
    "tag-shapes-small-rectangular-0": "Small-rectangular",
    "tagging-dieleman": "Dieleman et al.",
    "tagging-choi": "Choi et al.",
}
"""Table III: the run of each of its rows."""

VARIANTS = {
    "tag-shapes-no-dropout-0": "Proposed without dropout",
    "tag-shapes-normed-0": "Proposed without dropout, with batch norms",
}
"""`Proposed` without what else than the shapes of its filters tells it from `Small-rectangular`."""


def page(results: Results) -> list[str]:
    """The claim, by as many seeds as there are, and Table III."""
    parts = [
        "All on rendered **stand-ins**: figures of the paper, on real recordings, stand beside them and do not compete. There are 27 tags here, 50 there; the network called Choi et al. is their own FCN-4 of 96 x 1366, which Pons et al. describe as five layers on 96 x 187."
    ]
    runs = {name: seeds(results, f"tag-shapes-{name}") for name in CLAIMED}
    title = "Tags: `gm-tags`, held-out clips, until the validation loss stops falling (a stand-in)"
    if any(len(each) > 1 for each in runs.values()):
        parts += paired(results, runs, "roc_auc", "ROC-AUC over tags", title, "Table III, {}")
    rows = []
    for run, row in TAGGING.items():
        if found := results.metrics(run):
            rows.append(
                (
                    row,
                    str(found["parameters"]),
                    number(found["roc_auc"]),
                    results.paper(run, f"{PONS}, Table III, {row}", "roc_auc"),
                    results.course(run),
                    results.energy(run),
                )
            )
    if rows:
        head = (
            "network",
            "parameters",
            "mean ROC-AUC over tags",
            "paper, on recordings",
            "training, one core",
            "energy",
        )
        parts.append(
            table("Tags, one seed, until the validation loss stops falling (a stand-in for Table III)", head, rows)
        )
    if any(results.metrics(run) for run in VARIANTS):
        parts.append(_taken_apart(results))
    return [*parts, "![First-layer filters of `Proposed`, by shape: those with the largest weights](tags-filters.png)"]


def _taken_apart(results: Results) -> str:
    """What the networks of the claim, and the variants, learn of the sounds that they train on, and of others."""
    claimed = (f"tag-shapes-{name}-0" for name in reversed(CLAIMED))
    rows = [
        (
            title,
            *(number(loss) for loss in min(results.training(run)["losses"], key=itemgetter(1))),
            number(found["roc_auc"]),
            results.course(run),
            results.energy(run),
        )
        for run, title in ({run: TAGGING[run] for run in claimed} | VARIANTS).items()
        if (found := results.metrics(run))
    ]
    head = (
        "network",
        "training loss, best epoch",
        "validation loss",
        "mean ROC-AUC over tags",
        "training, one core",
        "energy",
    )
    note = "Losses of `Proposed` on training clips are with dropout at work."
    return table("Is it the shapes of the filters? One seed", head, rows, note=note)


CARD = Card(
    title="Tags",
    recipes=("tag-shapes", "tagging"),
    page=page,
    pictures={"tag-shapes-proposed-0/evaluation/filters.png": "tags-filters.png"},
    seeds="one seed each; the earlier table has five",
)
