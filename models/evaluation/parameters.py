"""Errors of regressors, in the published convention and in a true one, beside the paper's and beside guessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import metrics, plots, published
from timbre_data.models.evaluation.tables import Table, number
from timbre_data.models.training.checkpoints import Trained


def regression(
    trained: Trained, rows: Rows, chosen: NDArray[np.int64], predicted: NDArray[np.float32], folder: Path
) -> tuple[dict[str, Any], tuple[Table, ...]]:
    """Errors of predicted parameters [shape=(n, p)] over each row's own, beside the mean and a random predictor, and a picture in `folder`."""
    labels, own, heard = rows.labels[chosen], rows.own[chosen], rows.own[chosen] & rows.heard[chosen]
    train = rows.where(0)
    errors = metrics.regression_errors(predicted, labels, own)
    mean = metrics.regression_errors(
        metrics.mean_predictor(rows.labels[train], rows.own[train], len(chosen)), labels, own
    )
    random = metrics.regression_errors(metrics.random_predictor(*labels.shape), labels, own)
    clear = metrics.regression_errors(predicted, labels, heard)
    skill = 1 - errors.mse / mean.mse
    plots.predicted_against_true(predicted, labels, own, rows.parameter_names, folder / "parameters.png")
    name = published.variant(trained.model, trained.features, trained.shape.conditioning, trained.options)
    one_effect_each = bool((rows.present[chosen].sum(axis=1) <= 1).all())
    comparable = one_effect_each and set(rows.parameter_names) == set(published.COLUMNS)
    tables: list[Table] = []
    if comparable:
        tables.append(_beside_the_paper(errors, mean, rows.parameter_names, name))
    order = rows.parameter_names
    tables.append(
        Table(
            "True errors, over each row's own parameters (normalised)",
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
            note="Identifiable: without labels that nobody could recover, such as the time of a delay at mix 0.",
        )
    )
    found = {
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
    return found, tuple(tables)


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
        note="Foreign entries at zero, then averaged over all rows and all 15 columns: about a third of the true errors below. The paper split by row and reported the set that stopped training.",
    )
