"""Scores of a synth's parameters: share of positions right, skill of the others, where identifiable and where audible;
with and without exchanged oscillators.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.exchangeable import columns_of_parts
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import metrics, plots
from timbre_data.models.evaluation.audibility import MEASURE, MOST_ROWS, audible_knobs
from timbre_data.models.evaluation.tables import Table, number
from timbre_data.schemas.parameter import Parameter

if TYPE_CHECKING:
    from timbre_data.models.targets._target import Evaluated


def evaluate(evaluated: Evaluated) -> tuple[dict[str, Any], Table]:
    """Score the knobs of a run's synths; those of the first dataset's rows where they are audible, too."""
    rows, row_indices, predicted = evaluated.row_predictions
    datasets = evaluated.datasets
    first = rows.dataset[row_indices] == 0 if evaluated.sounds else np.zeros(len(row_indices), bool)
    dataset_rows = rows.row[row_indices[:MOST_ROWS][first[:MOST_ROWS]]]
    audible = audible_knobs(datasets[0], dataset_rows, rows.parameter_names)
    return evaluate_knobs(rows, row_indices, predicted, rows.interchangeable, audible, evaluated.folder)


def evaluate_knobs(
    rows: Rows,
    row_indices: NDArray[np.int64],
    predicted: NDArray[np.float32],
    groups: Sequence[Sequence[str]],
    audible: NDArray[np.bool_],
    folder: Path,
) -> tuple[dict[str, Any], Table]:
    """Score every knob over the chosen rows in which it means something, and over those in which it is `audible`
    [shape=(m, p)] (the first m).

    Draws the scores, and the box plots of labels and outputs as in the paper.
    """
    labels, identifiable = rows.labels[row_indices], rows.mask[row_indices] & rows.identifiable[row_indices]
    measured = np.zeros_like(identifiable)
    measured[: len(audible)] = audible & identifiable[: len(audible)]
    names = rows.parameter_names
    swapped = exchanged(predicted, labels, identifiable, names, groups)
    train = rows.where(0)
    mean = metrics.mean_predictor(rows.labels[train], rows.mask[train] & rows.identifiable[train], len(row_indices))
    each: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(names):
        steps = Parameter.model_validate(rows.parameters[i]).steps
        clear = identifiable[:, i]
        if not clear.any():
            continue
        scores = {
            key: _score(guess[where, i], labels[where, i], mean[where, i], steps)
            for key, guess, where in (
                ("plain", predicted, clear),
                ("swapped", swapped, clear),
                ("audible", swapped, measured[:, i]),
            )
        }
        spread = float(predicted[clear, i].std() / max(float(labels[clear, i].std()), 1e-9))
        each[name] = {
            "rows": int(clear.sum()),
            "positions": steps,
            "score": scores["plain"],
            "score_swapped": scores["swapped"],
            "audible_rows": int(measured[:, i].sum()),
            "score_audible": scores["audible"],
            "output_spread": spread,
        }
    right = [knob["score_swapped"] for knob in each.values() if knob["positions"]]
    skills = [knob["score_swapped"] for knob in each.values() if not knob["positions"]]
    clear_skills = [knob["score_audible"] for knob in each.values() if not knob["positions"] and knob["audible_rows"]]
    plots.labels_against_outputs(predicted, labels, identifiable, names, folder / "boxes.png")
    plots.knob_scores(each, folder / "knobs.png")
    result: dict[str, Any] = {
        "positions_right": float(np.mean(right)) if right else None,
        "worst_position": float(np.min(right)) if right else None,
        "skill": float(np.mean(skills)) if skills else None,
        "skill_audible": float(np.mean(clear_skills)) if clear_skills else None,
        "each": each,
    }
    with_swaps = any(len(group) > 1 and any(name.startswith(group[1]) for name in names) for group in groups)
    table = Table(
        f"Knobs: positions {_percent(result['positions_right'])} right, other knobs' mean skill {number(result['skill']) if skills else '-'}"
        + (f", {number(result['skill_audible'])} where audible" if clear_skills else ""),
        ("knob", "rows", "measure", "score", *(("score, oscillators exchanged as they fit",) if with_swaps else ()), "where audible", "rows", "spread of outputs"),
        tuple(
            (
                name,
                str(knob["rows"]),
                f"share right of {knob['positions']}" if knob["positions"] else "skill over the mean",
                number(knob["score"]),
                *((number(knob["score_swapped"]),) if with_swaps else ()),
                number(knob["score_audible"]) if knob["audible_rows"] else "-",
                str(knob["audible_rows"]),
                number(knob["output_spread"]),
            )
            for name, knob in each.items()
        ),
        note=f"Skill: 1 - MSE / MSE of the mean predictor. Audible: turning this knob alone by a quarter of its range {MEASURE} (measured, over the first rows). Spread of outputs: their deviation relative to the labels'; 0 is a constant output.",
    )  # fmt: skip
    return result, table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _score(guess: NDArray[Any], labels: NDArray[Any], mean: NDArray[Any], steps: int) -> float:
    if steps:
        return float((np.rint(guess * (steps - 1)) == np.rint(labels * (steps - 1))).mean())
    return 1 - float(np.square(guess - labels).mean() / max(float(np.square(mean - labels).mean()), 1e-12))


def exchanged(
    predicted: NDArray[np.float32],
    labels: NDArray[np.float32],
    identifiable: NDArray[np.bool_],
    names: Sequence[str],
    groups: Sequence[Sequence[str]],
) -> NDArray[np.float32]:
    """Predictions with interchangeable parts (oscillators) in the order that fits each row's labels best [shape=(n,
    p)].

    Two patches whose oscillators change places sound alike, so a network cannot know which is the first.
    """
    best = predicted.copy()
    for group in groups:
        columns = [list(part) for part in columns_of_parts(group, names)]
        if not columns:
            continue
        orders = list(itertools.permutations(range(len(columns))))
        errors = np.empty((len(orders), len(labels)))
        for k, order in enumerate(orders):
            errors[k] = sum(
                (
                    np.square(predicted[:, columns[source]] - labels[:, columns[position]])
                    * identifiable[:, columns[position]]
                ).sum(axis=1)
                for position, source in enumerate(order)
            )
        winner = errors.argmin(axis=0)
        for k, order in enumerate(orders):
            rows = winner == k
            for position, source in enumerate(order):
                best[np.ix_(rows, columns[position])] = predicted[np.ix_(rows, columns[source])]
    return best
