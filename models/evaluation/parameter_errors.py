"""Errors of regressors, in the published convention and in a true one, beside the paper's and beside guessing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import knob_scores, metrics, plots, published, rerendered
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
    if any(data.recipe.chain.synth for data in evaluated.datasets):
        knobs, table = knob_scores.evaluate(evaluated)
        result["knobs"], tables = knobs, (table, *tables)
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
    mean = metrics.regression_errors(
        metrics.mean_predictor(rows.labels[train], rows.mask[train], len(row_indices)), labels, mask
    )
    random = metrics.regression_errors(metrics.random_predictor(*labels.shape), labels, mask)
    clear = metrics.regression_errors(predicted, labels, identifiable)
    skill = 1 - errors.mse / mean.mse
    plots.predicted_against_true(predicted, labels, mask, rows.parameter_names, folder / "parameters.png")
    name = published.variant(trained.model, trained.features, trained.shape.conditioning, trained.options)
    one_effect_each = bool((rows.present[row_indices].sum(axis=1) <= 1).all())
    comparable = one_effect_each and set(rows.parameter_names) == set(published.COLUMNS)
    tables: list[Table] = []
    if comparable:
        tables.append(_beside_the_paper(errors, mean, rows.parameter_names, name))
    order = rows.parameter_names
    tables.append(
        Table(
            f"Errors over the parameters that apply to each of {len(row_indices)} rows of the {split} split (normalized)",
            ("parameter", "MAE", "MSE", "skill over the mean", "MAE, identifiable rows"),
            (
                *(
                    (
                        order[i],
                        number(errors.mae_each[i]),
                        number(errors.mse_each[i]),
                        number(1 - errors.mse_each[i] / mean.mse_each[i]),
                        number(clear.mae_each[i]),
                    )
                    for i in range(len(order))
                ),
                ("all", number(errors.mae), number(errors.mse), number(skill), number(clear.mae)),
                ("all, mean predictor", number(mean.mae), number(mean.mse), "0", "-"),
                (
                    "all, random predictor",
                    number(random.mae),
                    number(random.mse),
                    number(1 - random.mse / mean.mse),
                    "-",
                ),
            ),
            note="Identifiable rows: without labels that cannot be recovered, such as the time of a delay at mix 0.",
        )
    )
    result = {
        "variant": name,
        "true": {
            "mse": errors.mse,
            "mae": errors.mae,
            "skill": skill,
            "mse_identifiable": clear.mse,
            "mae_identifiable": clear.mae,
        },
        "published_convention": {"mse": errors.published_mse, "mae": errors.published_mae} if comparable else None,
        "published": {"mse": published.MSE[name]} if comparable and name else None,
        "mean_predictor": {"mse": mean.mse, "mae": mean.mae, "published_convention_mse": mean.published_mse},
        "random_predictor": {"mse": random.mse, "mae": random.mae},
        "parameters_each": {
            order[i]: {
                "mae": errors.mae_each[i],
                "mse": errors.mse_each[i],
                "skill": 1 - errors.mse_each[i] / mean.mse_each[i],
            }
            for i in range(len(order))
        },
    }
    return result, tuple(tables)


def _beside_the_paper(
    errors: metrics.RegressionErrors, mean: metrics.RegressionErrors, names: tuple[str, ...], variant: str | None
) -> Table:
    order = [names.index(column) for column in published.COLUMNS]
    rows = [
        ("this run", number(errors.published_mse), *(number(errors.published_mae_each[i]) for i in order)),
        ("mean predictor", number(mean.published_mse), *(number(mean.published_mae_each[i]) for i in order)),
        *(
            (f"paper {name}", number(published.MSE[name]), *(number(v) for v in published.MAE[name]))
            for name in published.MSE
        ),
    ]
    return Table(
        f"In the published convention, beside the paper's table (this is {f'a {variant}' if variant else 'none of its networks'})",
        ("", "MSE", *(column.split(".", 1)[1] for column in published.COLUMNS)),
        tuple(rows),
        note="Parameters of other effects count as zero error, averaged over all rows and all 15 columns: about a third of the true errors below. The paper split by row and reported the set that stopped training.",
    )
