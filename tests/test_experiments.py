"""The manual's page of experiments has every recipe and every published figure once, and means over seeds."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from timbre_data.models.evaluation import published

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The modules of experiments and of comparisons."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    found = importlib.import_module("card_pages.experiments"), importlib.import_module("card_pages.beside")
    assert "card_pages" in sys.modules
    return found


def test_every_recipe_and_every_published_figure_is_there_once(pages: tuple[Any, Any]) -> None:
    experiments, beside = pages
    text = experiments.page()
    for card in experiments.cards().values():
        for recipe in card.recipes:
            assert text.count(f"| `timbre-data run {recipe}` |") == 1, recipe
    compared = {one.theirs.name for kept in experiments.kept_results().values() for one in beside.compared(kept)}
    for one in published.RESULTS:
        paper, _, rest = one.name.partition(", ")
        section = text.split(f"## {paper}\n")[1].split("\n## ")[0]
        assert (f"| {rest} |" in section) == (one.name in compared), one.name
        assert (f"- {rest} ({one.condition})" in section) == (one.name not in compared), one.name


def test_runs_that_differ_in_their_seed_alone_are_one_row(pages: tuple[Any, Any]) -> None:
    experiments, beside = pages
    kept = experiments.kept_results()["phonemes"]
    runs = [f"phoneme-shapes-proposed-{seed}" for seed in range(5)]
    each = np.array([kept.metrics(run)["accuracy"] for run in runs])
    row = next(one for one in beside.over_seeds(beside.compared(kept)) if one.run == runs[0] and one.key == "accuracy")
    assert row.seeds == 5
    assert row.ours == pytest.approx(each.mean())
    assert row.deviation == pytest.approx(each.std(ddof=1))
    assert f"± {experiments.number(row.deviation)}" in experiments.page()


def test_a_claim_belongs_to_the_paper_that_it_names_first(pages: tuple[Any, Any]) -> None:
    experiments, _ = pages
    assert experiments.paper_of("Pons et al. 2017 (timbre CNNs); Sivalingam et al. (instrument CNN)") == published.PONS
    assert experiments.paper_of("Assayag (inverse synthesis); InverSynth (Barkan et al. 2019)") == published.ASSAYAG
    with pytest.raises(KeyError, match="no paper is named"):
        experiments.paper_of("something else")


def test_differences_are_paired_by_seed(pages: tuple[Any, Any]) -> None:
    several = importlib.import_module("card_pages.several_seeds")
    values = {0: 1.0, 1: 2.0, 3: 4.0, 4: 5.0}, {0: 0.8, 1: 1.9, 2: 100.0, 4: 4.9}
    (said,) = several.difference(("a", "b"), values)
    assert "+0.1333" in said
    assert "over 3 seeds" in said
    assert several.difference(("a", "b"), ({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})) == []
