"""Learning from the sound: regressors fine-tuned through the real effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from card_pages import STAND_IN, Card, Results, number, table
from card_pages.several_seeds import FEWEST, mean_interval
from timbre_data.models.studies import finetuning

SAID = "In domain: test rows of the datasets that it learned from. Out of domain: clean electric guitar notes of a SoundFont, which were recorded, through the same effects. Distances (MRSTFT) are from the target or from the dry sound. Handed over: the loss on parameters gives way to the loss on the rendered sound, whose gradient through the effect is estimated by SPSA or by finite differences. Oracle: the true settings."
SEEDS = "The perceptron with several seeds, each trained and fine-tuned on its own: out of domain, mean over seeds. Strength: how far from the dry sound the predicted effect takes it, as a share of what the target's does."


def page(results: Results) -> list[str]:
    """A table for each network and effect, with every way of handing over; what the seeds have in common."""
    together: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    seeds: dict[str, list[Mapping[str, Any]]] = {}
    for study in results.studies.values():
        run, on = study["run"], study["out_of_domain"]
        if run.startswith("fine-tuning-features"):
            seeds.setdefault(on, []).append(study)
        if run in ("fine-tuning-features", "fine-tuning-cnn"):
            together.setdefault((run, on), []).append(study)
    tables = [one_table(studies) for studies in together.values()]
    trained = [(run, results.metrics(run)["model"], results.course(run), results.energy(run)) for run in results.runs]
    spent = table("What was trained before, on parameters, one core", ("run", "network", "training", "energy"), trained)
    many = [over_seeds(on, studies) for on, studies in seeds.items() if len(studies) >= FEWEST]
    return [STAND_IN, SAID, *tables, *([SEEDS] * bool(many)), *many, spent]


def one_table(studies: list[Mapping[str, Any]]) -> str:
    """All studies of a network on a dataset as one. What comes before fine-tuning is the same in each."""
    ordered = sorted(studies, key=lambda one: (one["asked"]["frozen"], one["asked"]["at_once"]))
    stages = {name: where for study in ordered for name, where in study["stages"].items()}
    return finetuning.table_of({**ordered[0], "stages": stages}).markdown()


def over_seeds(on: str, studies: list[Mapping[str, Any]]) -> str:
    """Distances and strengths out of domain, seed by seed from the supervised network."""
    place = "out of domain"
    common = [name for name in studies[0]["stages"] if all(name in one["stages"] for one in studies)]
    start = np.array([one["stages"]["supervised"][place]["distance"] for one in studies])
    rows = []
    for name in common[common.index("supervised") :]:
        distance, strength = (
            np.array([one["stages"][name][place][key] for one in studies]) for key in ("distance", "strength")
        )
        share = strength / [one["target_strength"][place] for one in studies]
        moved = distance - start
        changed = "-"
        if moved.any():
            mean, low, high = mean_interval(moved)
            changed = f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
        deviation = share.std(ddof=1)
        rows.append((name, number(distance.mean()), changed, f"{100 * share.mean():.0f} % ± {100 * deviation:.0f}"))
    head = ("parameters from", "to target", "change, 95 % interval over seeds", "strength ± deviation")
    return table(f"{len(studies)} seeds on {on}", head, rows)


CARD = Card(title="Learning from the sound", recipes=("fine-tuning",), page=page)
