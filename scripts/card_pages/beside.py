"""Every published figure beside the kept run that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from card_pages import Results, better
from timbre_data.models.evaluation import published, run_facts


@dataclass(frozen=True)
class Comparison:
    """One published figure beside ours: of one run, or the mean over `seeds` runs that differ in their seed alone, of
    which `run` is the first.
    """

    run: str
    split: str
    theirs: published.Result
    key: str
    ours: float
    unlike: str = ""
    """How the run differs from what the figure is of."""
    trained: str = ""
    """The settings of the run without its seed."""
    seeds: int = 1
    deviation: float | None = None
    """Of the runs, where there are several."""

    @property
    def verdict(self) -> str:
        """better, worse, or same."""
        return better(self.ours, self.theirs, self.key)


def compared(results: Results) -> list[Comparison]:
    """Every published figure that belongs beside a kept run, with the run's own."""
    found = []
    for run, kept in results.runs.items():
        trained = json.dumps({key: value for key, value in kept["settings"].items() if key != "seed"}, sort_keys=True)
        metrics = results.metrics(run)
        # runs that were evaluated before their number was a fact have them in their scores
        classes = metrics.get("classes") or metrics.get("tags")
        about = {**({"classes": str(len(classes))} if classes else {}), **metrics.get("about", {})}
        for theirs in published.beside(about):
            for key in theirs.values:
                ours = _ours(metrics, kept["training"], key)
                if ours is not None:
                    split, unlike = kept["settings"].get("split", ""), theirs.unlike(about)
                    found.append(Comparison(run, split, theirs, key, ours, unlike, trained))
    for name, kept in results.comparisons.items():
        for model, scores in kept["classifiers"].items():
            carried = kept.get("generalisation", {})
            values = scores | {
                "carried_accuracy": carried.get("here", {}).get("there"),
                "both_accuracy": carried.get("both", {}).get("there"),
            }
            about = run_facts.facts(model, classes=scores["classes"])
            for theirs in published.beside(about):
                for key in (one for one in theirs.values if values.get(one) is not None):
                    unlike = theirs.unlike(about)
                    run = f"{name} ({model})"
                    found.append(Comparison(run, "note", theirs, key, float(values[key]), unlike, trained=run))
    return found


def over_seeds(found: Sequence[Comparison]) -> list[Comparison]:
    """The same with one comparison, of the mean, for runs that differ in their seed alone."""
    groups: dict[tuple[str, str, str], list[Comparison]] = {}
    for one in found:
        groups.setdefault((one.trained, one.theirs.name, one.key), []).append(one)
    means = []
    for group in groups.values():
        ours = np.array([one.ours for one in group])
        deviation = float(ours.std(ddof=1)) if len(group) > 1 else None
        means.append(replace(group[0], ours=float(ours.mean()), seeds=len(group), deviation=deviation))
    return means


def _ours(metrics: Mapping[str, Any], training: Mapping[str, Any], key: str) -> float | None:
    """A run's figure for what a paper calls `key`; None where it has none."""
    each = metrics.get("parameters_each") or {}
    places: dict[str, Any] = {
        **{name: one.get("published_convention_mae") for name, one in each.items()},
        **(metrics.get("thresholds") or {}).get("mean > 0.2", {}),
        **(metrics.get("losses") or {}),
        "accuracy": metrics.get("accuracy"),
        "roc_auc": metrics.get("roc_auc"),
        "watt_hours": training["watt_hours"],
        "training_seconds": training["seconds"],
        **{name: (metrics.get("cost") or {}).get(name) for name in ("megabytes", "inference_ms")},
        "input": (metrics.get("identity") or {}).get("loss"),
        "reconstruction": (metrics.get("first_stage") or {}).get("loss"),
        "relative": metrics.get("relative_loss"),
    }
    if metrics.get("published_convention"):
        places["mse"] = metrics["published_convention"]["mse"]
    if "knobs" in metrics:
        places["validation_loss"] = min(loss for _, loss in training["losses"])
        places["final_loss"] = training["losses"][-1][1]
    value = places.get(key)
    return None if value is None else float(value)
