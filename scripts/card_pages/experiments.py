"""The manual's page of experiments: every paper's commands, its figures beside ours, and what has no counterpart."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from card_pages import CARDS, Results, beside, cards
from card_pages.plain_table import table
from timbre_data.models.evaluation import published
from timbre_data.models.evaluation.tables import number
from timbre_data.pipeline.build import recipes

PAPERS = (published.DHOOGHE, published.PONS, published.MARTINEZ, published.SIVALINGAM, published.ASSAYAG)
MISSING = {
    published.DHOOGHE: (
        "Figure 5.9 (17 listeners): `timbre-data listen` makes such a test and analyses its answers; nobody was asked.",
        "Table C.2 and Table 5.1, AutoFX and AutoFX + features, at their size: they need a GPU; `autofx-cnn` has fewer rows.",
        "Figures 5.5 to 5.7: their sounds are of three of the classes; ours (`recognition`) are of all.",
    ),
    published.PONS: ("Table III, Choi et al. with 750,000 parameters: no layer list is published.",),
    published.SIVALINGAM: ("Hilbert-Huang spectra: named as future work there, not offered here.",),
    published.ASSAYAG: ("Section 4.3, six convolutions instead of three: told in a sentence there, not offered here.",),
}
"""What no recipe has, and why."""
INTRODUCTION = """# Experiments

Generated from the recipes and from what is kept of their runs in `datasets/cards/results/`; `scripts/cards --check`
compares both. Sounds are rendered **stand-ins** for the papers' recordings, so a figure that is better or worse than a
paper's says how far the system does what it should, not which is better on the same sounds.

Trainings ran on one core, beside other work unless their card says otherwise. Where a training was repeated with other
seeds, ours is the mean, with the standard deviation of one run.
"""


def paper_of(claim: str) -> str:
    """The paper that a recipe's claim names first. Raises `KeyError` for one that names none."""
    places = {claim.find(paper.split()[0]): paper for paper in PAPERS if paper.split()[0] in claim}
    if not places:
        raise KeyError(f"no paper is named in {claim!r}")
    return places[min(places)]


def kept_results() -> dict[str, Results]:
    """What is kept of the runs of each card."""
    files = {name: CARDS / "results" / f"{name}.json" for name in cards()}
    return {name: Results(json.loads(one.read_text(encoding="utf-8"))) for name, one in files.items() if one.is_file()}


def kept_text(recipe: str, results: Results | None, recovered: Sequence[str]) -> str:
    """What is kept of a recipe's runs: how many, their time and energy, seeds and machine."""
    if results is None:
        return "nothing"
    runs = [one for name, one in results.runs.items() if name.startswith(f"{recipe}-")]
    if not runs:
        return "tables of an earlier run, whose files were not kept" if recipe in recovered else "nothing"
    seconds = sum(one["training"]["seconds"] for one in runs)
    energy = sum(one["training"]["watt_hours"] or 0 for one in runs)
    seeds = len({one["settings"]["seed"] for one in runs})
    compared = sum(one.startswith(f"{recipe}-") for one in results.comparisons)
    parts = [
        *([f"{compared} comparisons"] if compared else []),
        f"{len(runs)} training{'s' if len(runs) > 1 else ''}",
        f"{seconds / 60:.0f} min",
        f"{energy:.2g} Wh" if energy else "energy not measured",
        f"{seeds} seed{'s' * (seeds > 1)}",
        results.machine["processor"],
    ]
    return ", ".join(parts)


def commands(paper: str, results: dict[str, Results]) -> list[tuple[str, ...]]:
    """A paper's recipes: command, what it is of, time, what is kept, card."""
    rows = []
    for name, card in cards().items():
        found = results.get(name)
        for recipe in card.recipes:
            claim = recipes.read_named(recipe)["claim"]
            if paper_of(claim.get("paper", "")) == paper:
                kept = kept_text(recipe, found, found.recovered_recipes(card) if found else ())
                what = claim.get("table") or claim["paper"]
                rows.append((f"`timbre-data run {recipe}`", what, claim.get("time", ""), kept, f"`{name}.md`"))
    return rows


def beside_rows(paper: str, found: Sequence[beside.Comparison]) -> list[tuple[str, ...]]:
    """A paper's figures beside ours."""
    rows = []
    for one in found:
        ours = number(one.ours) + (f" ± {number(one.deviation)}" if one.deviation is not None else "")
        notes = [
            f"by {one.split}",
            *([f"{one.seeds} seeds"] if one.seeds > 1 else []),
            *([one.unlike] * bool(one.unlike)),
        ]
        name = one.theirs.name.removeprefix(f"{paper}, ")
        run = f"`{one.run}` ({', '.join(notes)})"
        rows.append((name, one.key, number(one.theirs.values[one.key]), ours, one.verdict, run))
    return rows


def page() -> str:
    """Every experiment of the papers: the command, its time and machine, and each figure beside ours."""
    results = kept_results()
    found = beside.over_seeds([one for kept in results.values() for one in beside.compared(kept)])
    by_paper = {paper: [one for one in found if one.theirs.name.startswith(paper)] for paper in PAPERS}
    shown = {one.theirs.name for one in found}
    left = {
        paper: [one for one in published.RESULTS if one.name.startswith(paper) and one.name not in shown]
        for paper in PAPERS
    }
    verdicts = {paper: Counter(one.verdict for one in each) for paper, each in by_paper.items()}
    counts = [
        (paper, *(verdicts[paper][verdict] for verdict in ("better", "worse", "same")), len(left[paper]))
        for paper in PAPERS
    ]
    lines = [INTRODUCTION, *table(("paper", "figures better here", "worse", "same", "rows with no kept run"), counts)]
    for paper in PAPERS:
        lines += [f"## {paper}", "", *table(("command", "what", "time", "kept", "card"), commands(paper, results))]
        if by_paper[paper]:
            lines += [
                "Each published figure beside the run that is the same network or the same task, and how its rows were divided:",
                "",
            ]
            lines += table(("table, row", "figure", "paper", "ours", "", "run"), beside_rows(paper, by_paper[paper]))
        if left[paper]:
            lines += ["Published, and no run is kept of it:", ""]
            lines += [*(f"- {one.name.removeprefix(f'{paper}, ')} ({one.condition})" for one in left[paper]), ""]
        if missing := MISSING.get(paper):
            lines += ["Without a counterpart:", "", *(f"- {one}" for one in missing), ""]
    return "\n".join(lines)
