"""Errors of regressors, in the published convention and in a true one, beside the paper's and beside guessing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import (
    audibility,
    class_scores,
    intervals,
    knob_scores,
    metrics,
    plots,
    posterior,
    published,
    rerendered,
    run_facts,
)
from timbre_data.models.evaluation.tables import EvaluationResult, Table, number

if TYPE_CHECKING:
    from timbre_data.models.targets._target import Evaluated
    from timbre_data.models.training.checkpoints import Trained


def evaluate_parameters(evaluated: Evaluated) -> EvaluationResult:
    """Errors of predicted parameters; of a synth, each knob; and distances of sounds made with them from the stored
    ones.
    """
    rows, row_indices, predicted = evaluated.row_predictions
    result, tables = _errors(evaluated.trained, rows, row_indices, predicted, evaluated.split, evaluated.folder)
    if evaluated.recognised is not None:
        result["recognition"], more = class_scores.recognised(
            rows, row_indices, evaluated.recognised, evaluated.trained.recognises, evaluated.split, evaluated.folder
        )
        tables = (*tables, *more)
    if evaluated.draw is not None:
        result["posterior"], more = posterior.evaluate(evaluated)
        tables = (*tables, *more)
    if any(data.recipe.chain.synth for data in evaluated.datasets):
        knobs, table = knob_scores.evaluate(evaluated)
        result["knobs"], tables = knobs, (table, *tables)
    elif evaluated.sounds:
        result["audible"], table = _audible(evaluated)
        tables = (*tables, table)
    if evaluated.sounds:
        result["sounds"], table = rerendered.evaluate(evaluated)
        tables = (*tables, table)
    return result, tables


def _errors(
    trained: Trained,
    rows: Rows,
    row_indices: NDArray[np.int64],
    predicted: NDArray[np.float32],
    split: str,
    folder: Path,
) -> EvaluationResult:
    """Errors of predicted parameters [shape=(n, p)] where they apply, beside the mean and a random predictor, and a
    picture in `folder`.
    """
    labels, mask = rows.labels[row_indices], rows.mask[row_indices]
    identifiable = mask & rows.identifiable[row_indices]
    train = rows.where(0)
    errors = metrics.regression_errors(predicted, labels, mask)
    middle = metrics.mean_predictor(rows.labels[train], rows.mask[train], len(row_indices))
    mean = metrics.regression_errors(middle, labels, mask)
    random = metrics.regression_errors(metrics.random_predictor(*labels.shape), labels, mask)
    clear = metrics.regression_errors(predicted, labels, identifiable)
    floor = metrics.regression_errors(_all_that_is_heard(rows, row_indices), labels, mask)
    there = mean.mse if mean.mse > metrics.NO_ERROR else float("nan")
    skill = 1 - errors.mse / there
    skills = metrics.skills(errors, mean)
    clear_skills = _clear_skills(rows, row_indices, clear)
    sure = _intervals(predicted, middle, rows, row_indices)
    plots.predicted_against_true(predicted, labels, mask, rows.parameter_names, folder / "parameters.png")
    name = run_facts.variant(trained.model, trained.features, trained.shape.conditioning, trained.options)
    comparable = rows.one_effect_each(row_indices) and set(rows.parameter_names) == set(published.COLUMNS)
    tables: list[Table] = []
    if comparable:
        tables.append(_beside_the_paper(errors, mean, floor, rows.parameter_names, name))
    order = rows.parameter_names
    tables.append(
        Table(
            f"Errors over the parameters that apply to each of {len(row_indices)} rows of the {split} split (normalized)",
            ("parameter", "MAE", "MSE", "MSE, floor", "skill over the mean", "MAE, identifiable rows", "skill, identifiable rows"),
            (
                *(
                    (
                        order[i],
                        number(errors.mae_each[i]),
                        number(errors.mse_each[i]),
                        number(floor.mse_each[i]),
                        number(skills[i]),
                        number(clear.mae_each[i]),
                        number(clear_skills[i]),
                    )
                    for i in range(len(order))
                ),
                ("all", number(errors.mae), number(errors.mse), number(floor.mse), number(skill), number(clear.mae), number(float(np.nanmean(clear_skills)))),
                ("all, 95 % interval", intervals.text(sure["mae"]), intervals.text(sure["mse"]), "-", intervals.text(sure["skill"]), "-", "-"),
                ("all, mean predictor", number(mean.mae), number(mean.mse), "-", "0", "-", "-"),
                (
                    "all, random predictor",
                    number(random.mae),
                    number(random.mse),
                    "-",
                    number(1 - random.mse / there),
                    "-",
                    "-",
                ),
            ),
            note="Identifiable rows: without labels that cannot be recovered, such as the time of a delay at mix 0. Floor: what is left of the error where all that can be heard is right, and the rest is answered with its mean. Interval: bootstrap over dry notes.",
        )
    )  # fmt: skip
    result = {
        "variant": name,
        "true": {
            "mse": errors.mse,
            "mae": errors.mae,
            "skill": skill,
            "mse_identifiable": clear.mse,
            "mae_identifiable": clear.mae,
            "skill_identifiable": float(np.nanmean(clear_skills)),
        },
        "intervals": sure,
        "floor": {"mse": floor.mse, "mae": floor.mae, "published_convention_mse": floor.published_mse},
        "published_convention": {"mse": errors.published_mse, "mae": errors.published_mae} if comparable else None,
        "published": {"mse": published.MSE[name]} if comparable and name else None,
        "mean_predictor": {"mse": mean.mse, "mae": mean.mae, "published_convention_mse": mean.published_mse},
        "random_predictor": {"mse": random.mse, "mae": random.mae},
        "parameters_each": {
            order[i]: {
                "mae": errors.mae_each[i],
                "mse": errors.mse_each[i],
                "skill": float(skills[i]),
                "skill_identifiable": clear_skills[i],
                "floor_mse": floor.mse_each[i],
                **({"published_convention_mae": errors.published_mae_each[i]} if comparable else {}),
            }
            for i in range(len(order))
        },
    }
    return result, tuple(tables)


def _audible(evaluated: Evaluated) -> tuple[dict[str, Any], Table]:
    """The skill of each parameter over the rows in which turning it is heard, measured on some."""
    rows, row_indices, predicted = evaluated.row_predictions
    places, audible = audibility.audible_of_effects(evaluated.datasets, rows, row_indices, evaluated.seed)
    here, train = row_indices[places], rows.where(0)
    mean = metrics.mean_predictor(rows.labels[train], rows.mask[train], 1)[0]
    labels, guess, applies = rows.labels[here], predicted[places], rows.mask[here]
    each: dict[str, dict[str, float]] = {}
    for k, name in enumerate(rows.parameter_names):
        heard = audible[:, k]
        if not applies[:, k].any():
            continue
        error, before = (
            float(np.square(labels[heard, k] - one).mean()) if heard.any() else np.nan
            for one in (guess[heard, k], mean[k])
        )
        each[name] = {
            "rows": int(applies[:, k].sum()),
            "share": float(heard.sum() / applies[:, k].sum()),
            "skill": 1 - error / before if before else float("nan"),
        }
    skill = float(np.nanmean([one["skill"] for one in each.values()])) if each else float("nan")
    table = Table(
        f"Where a parameter is heard: mean skill {number(skill)}, on {len(places)} rows",
        ("parameter", "rows", "share in which it is heard", "skill in those"),
        tuple((name, str(int(one["rows"])), number(one["share"]), number(one["skill"])) for name, one in each.items()),
        note=f"Heard: turned alone by {audibility.MOVED:g} of its range, or drawn anew where the dataset stores its sensitivity, it {audibility.MEASURE} (measured).",
    )
    return {"skill": skill, "rows": len(places), "each": each}, table


def _all_that_is_heard(rows: Rows, row_indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """The answers of somebody who knows everything that a sound shows [shape=(n, p)]: the label where it is
    identifiable, else the mean of the training rows where it is not.
    """
    train = rows.where(0)
    unheard = metrics.mean_predictor(rows.labels[train], rows.mask[train] & ~rows.identifiable[train], len(row_indices))
    return np.where(rows.identifiable[row_indices], rows.labels[row_indices], unheard)


def _clear_skills(rows: Rows, row_indices: NDArray[np.int64], errors: metrics.RegressionErrors) -> list[float]:
    """The skill of each parameter over the mean, both over the rows in which it can be heard; NaN where it never is."""
    labels, clear = rows.labels[row_indices], rows.mask[row_indices] & rows.identifiable[row_indices]
    train = rows.where(0)
    guess = metrics.mean_predictor(rows.labels[train], rows.mask[train] & rows.identifiable[train], len(row_indices))
    mean = metrics.regression_errors(guess, labels, clear)
    return metrics.skills(errors, mean).tolist()


def _intervals(
    predicted: NDArray[np.float32], middle: NDArray[np.float32], rows: Rows, row_indices: NDArray[np.int64]
) -> dict[str, intervals.Interval]:
    """95 % intervals of the headlines, beside the mean predictor's answers `middle`, by a bootstrap over dry notes."""
    labels, mask, groups = rows.labels[row_indices], rows.mask[row_indices], rows.group[row_indices].astype(str)
    error, before = (np.where(mask, guess.astype(np.float64) - labels, 0.0) for guess in (predicted, middle))
    sums = intervals.sums_by(
        groups,
        np.stack(
            [
                np.abs(error).sum(1),
                (error**2).sum(1),
                (before**2).sum(1),
                mask.sum(1),
                np.full(len(mask), mask.shape[1]),
            ],
            axis=1,
        ),
    )
    absolute, squares, guessed, count, cells = sums.T
    return {
        "mae": intervals.interval(intervals.ratios(absolute, count)),
        "mse": intervals.interval(intervals.ratios(squares, count)),
        "skill": intervals.interval(1 - intervals.ratios(squares, guessed)),
        "published_convention_mse": intervals.interval(intervals.ratios(squares, cells)),
    }


def _beside_the_paper(
    errors: metrics.RegressionErrors,
    mean: metrics.RegressionErrors,
    floor: metrics.RegressionErrors,
    names: tuple[str, ...],
    variant: str | None,
) -> Table:
    order = [names.index(column) for column in published.COLUMNS]
    rows = [
        ("this run", number(errors.published_mse), *(number(errors.published_mae_each[i]) for i in order)),
        ("mean predictor", number(mean.published_mse), *(number(mean.published_mae_each[i]) for i in order)),
        ("floor", number(floor.published_mse), *(number(floor.published_mae_each[i]) for i in order)),
        *(
            (f"paper {name}", number(published.MSE[name]), *(number(v) for v in published.MAE[name]))
            for name in published.MSE
        ),
    ]
    best = [min(values[k] for values in published.MAE.values()) for k in range(len(order))]
    worse = [
        f"{published.COLUMNS[k]} (best of the paper {number(best[k])})"
        for k, i in enumerate(order)
        if errors.published_mae_each[i] > best[k]
    ]
    return Table(
        f"In the published convention, beside the paper's table (this is {f'a {variant}' if variant else 'none of its networks'})",
        ("", "MSE", *(column.split(".", 1)[1] for column in published.COLUMNS)),
        tuple(rows),
        note="Parameters of other effects count as zero error, averaged over all rows and all 15 columns: about a third of the true errors below. The paper split by row and reported the set that stopped training. Worse than the best of its networks on: "
        + (", ".join(worse) or "none")
        + ".",
    )
