"""Whether draws of knobs are as sure as they may be: ranks, coverage of intervals and of regions.

A label is one more draw from the posterior, so its rank among draws is uniform (simulation-based calibration, Talts et
al. 2018); an interval that holds half of the draws holds half of the labels; and so does a ball around any point that
holds half of them (TARP, Lemos et al. 2023, which looks at all knobs together).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import intervals, plots
from timbre_data.models.evaluation.tables import EvaluationResult, Table, number
from timbre_data.schemas.parameter import Parameter

if TYPE_CHECKING:
    from timbre_data.models.targets._target import Evaluated

DRAWS = 64
ROWS = 512
"""Rows whose draws are looked at, at most."""
LEVELS = (0.5, 0.9)


def ranks(draws: NDArray[np.floating[Any]], labels: NDArray[np.floating[Any]], seed: int = 0) -> NDArray[np.int64]:
    """The rank of each label [shape=(n, p)] among its draws [shape=(n, draws, p)], 0 to draws [shape=(n, p)]; equal
    ones in random order.
    """
    below, equal = (draws < labels[:, None]).sum(axis=1), (draws == labels[:, None]).sum(axis=1)
    return np.asarray(below + np.random.default_rng(seed).integers(equal + 1), np.int64)


def coverage(ranks_: NDArray[np.int64], draws: int, level: float) -> NDArray[np.bool_]:
    """Whether a label lies in the central interval of so much of the draws, by its rank [shape as ranks]: of ranks,
    exactly a share `level` where they are uniform.
    """
    places = (ranks_ + np.random.default_rng(1).random(ranks_.shape)) / (draws + 1)
    return np.asarray(np.abs(places - 0.5) < level / 2)


def tarp(
    draws: NDArray[np.floating[Any]],
    labels: NDArray[np.floating[Any]],
    mask: NDArray[np.bool_],
    seed: int = 0,
) -> NDArray[np.float64]:
    """For each row, the share of draws that are nearer to a random point than the label is [shape=(n,)]: uniform where
    draws are right (Lemos et al. 2023, algorithm 2). Only the knobs of `mask` [shape=(n, p)] count.
    """
    rng = np.random.default_rng(seed)
    point = rng.random(labels.shape)
    far = np.sqrt((np.square(labels - point) * mask).sum(axis=1))
    each = np.sqrt((np.square(draws - point[:, None]) * mask[:, None]).sum(axis=2))
    nearer, equal = (each < far[:, None]).sum(axis=1), (each == far[:, None]).sum(axis=1)
    return np.asarray((nearer + rng.integers(equal + 1) + rng.random(len(far))) / (draws.shape[1] + 1))


def uniform_p(values: NDArray[np.float64]) -> float:
    """How likely values as far from uniform on [0, 1] as these are, if they are uniform (Kolmogorov and Smirnov)."""
    from scipy.stats import kstest

    return float(kstest(values, "uniform").pvalue)


def calibrate(
    draws: NDArray[np.float32],
    labels: NDArray[np.float32],
    mask: NDArray[np.bool_],
    names: tuple[str, ...],
    steps: tuple[int, ...],
    groups: NDArray[Any],
    folder: Path,
) -> EvaluationResult:
    """Ranks and coverage of every continuous knob over the rows where it applies, of all of them together, and how
    often a position is right that is said to be so likely. A picture in `folder`.
    """
    rng = np.random.default_rng(2)
    count = draws.shape[1]
    rank = ranks(draws, labels)
    places = (rank + rng.random(rank.shape)) / (count + 1)
    each: dict[str, dict[str, Any]] = {}
    continuous = np.array([not count_ for count_ in steps])
    held = {level: coverage(rank, count, level) for level in LEVELS}
    for k, name in enumerate(names):
        here = mask[:, k]
        if not here.any():
            continue
        if steps[k]:
            chosen = np.rint(draws[here, :, k] * (steps[k] - 1)) == np.rint(labels[here, None, k] * (steps[k] - 1))
            frequency = np.stack(
                [(np.rint(draws[here, :, k] * (steps[k] - 1)) == one).mean(axis=1) for one in range(steps[k])], axis=1
            )
            best = frequency.argmax(axis=1)
            right = best == np.rint(labels[here, k] * (steps[k] - 1))
            each[name] = {
                "rows": int(here.sum()),
                "said": float(frequency.max(axis=1).mean()),
                "right": float(right.mean()),
                "drawn": float(chosen.mean()),
            }
            continue
        each[name] = {
            "rows": int(here.sum()),
            "p": uniform_p(places[here, k]),
            **{f"coverage_{100 * level:.0f}": float(held[level][here, k].mean()) for level in LEVELS},
        }
    cells = mask & continuous
    together = tarp(draws[:, :, continuous], labels[:, continuous], mask[:, continuous])
    total: dict[str, Any] = {"tarp_p": uniform_p(together)}
    for level in LEVELS:
        key = f"coverage_{100 * level:.0f}"
        rows_with = cells.any(axis=1)
        inside = np.where(cells, held[level], False).sum(axis=1)[rows_with]
        sums = intervals.sums_by(groups[rows_with], np.stack([inside, cells[rows_with].sum(axis=1)], axis=1))
        total[key] = float(held[level][cells].mean())
        total[f"{key}_interval"] = intervals.interval(intervals.ratios(sums[:, 0], sums[:, 1]))
        total[f"tarp_{key}"] = float((np.abs(together - 0.5) < level / 2).mean())
    plots.calibration(
        {name: places[mask[:, k], k] for k, name in enumerate(names) if not steps[k] and mask[:, k].any()},
        together,
        folder / "posterior.png",
    )
    heads = (
        "knob",
        "rows",
        *(f"in the {100 * level:.0f} % interval" for level in LEVELS),
        "p, ranks uniform",
        "likeliest position: said, right",
    )
    lines = [
        (
            name,
            str(one["rows"]),
            *((number(one[f"coverage_{100 * level:.0f}"]) if "p" in one else "-") for level in LEVELS),
            number(one["p"]) if "p" in one else "-",
            f"{one['said']:.3f}, {one['right']:.3f}" if "said" in one else "-",
        )
        for name, one in each.items()
    ]
    keys = [f"coverage_{100 * level:.0f}" for level in LEVELS]
    lines.append(("all continuous", str(int(cells.sum())), *(number(total[key]) for key in keys), "-", "-"))
    lines.append(("95 % interval", "", *(intervals.text(total[f"{key}_interval"]) for key in keys), "-", "-"))
    lines.append(
        (
            "together (TARP)",
            str(len(labels)),
            *(number(total[f"tarp_{key}"]) for key in keys),
            number(total["tarp_p"]),
            "-",
        )
    )
    table = Table(
        f"Calibration of {count} draws a row, over {len(labels)} rows",
        heads,
        tuple(lines),
        note="Draws that are as sure as they may be: 0.5 and 0.9 of the labels are in the intervals, ranks are uniform (p is not small more often than by chance), and the likeliest position is right as often as it is said to be.",
    )  # fmt: skip
    return {"draws": count, "rows": len(labels), "each": each, **total}, (table,)


def chosen_rows(evaluated: Evaluated) -> NDArray[np.int64]:
    """The places, among an evaluation's rows, of those whose draws are looked at."""
    assert evaluated.row_indices is not None
    rng = np.random.default_rng([evaluated.seed, ROWS])
    total = len(evaluated.row_indices)
    return np.sort(rng.choice(total, min(ROWS, total), replace=False))


def evaluate(evaluated: Evaluated) -> EvaluationResult:
    """Calibration of a run's draws on a sample of its rows."""
    rows, row_indices, _ = evaluated.row_predictions
    assert evaluated.draw is not None
    places = chosen_rows(evaluated)
    here = row_indices[places]
    draws = evaluated.draw(places, DRAWS)
    return calibrate(
        draws, rows.labels[here], rows.mask[here], rows.parameter_names, _steps(rows), rows.group[here].astype(str), evaluated.folder
    )  # fmt: skip


def _steps(rows: Rows) -> tuple[int, ...]:
    return tuple(Parameter.model_validate(one).steps for one in rows.parameters)
