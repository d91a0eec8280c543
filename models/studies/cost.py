"""The cost of training a run, and of one prediction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import epochs, published
from timbre_data.models.evaluation.tables import Table
from timbre_data.models.layers.counting import parameter_count
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import energy
from timbre_data.models.training.checkpoints import Trained
from timbre_data.models.training.runs import MODEL_FILE
from timbre_data.pipeline.store.columns import AUDIO, DRY_AUDIO, DRY_INDEX
from timbre_data.pipeline.store.reader import Dataset


def _sound(datasets: Sequence[Dataset], rows: Rows, one: int, *, dry: bool) -> torch.Tensor:
    """One row's sound as stored, mixed to mono, followed by its `dry` sound where the network takes it [shape=(1,
    samples)]: the network's front is part of what a prediction takes.
    """
    data, row = datasets[int(rows.dataset[one])], int(rows.row[one])
    stored = [data.read(AUDIO, row), *([data.read(DRY_AUDIO, int(data.read(DRY_INDEX, row)))] if dry else [])]
    mono = [each[:1] if len(each) == 1 else each.mean(axis=0)[None] for each in stored]
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(mono, axis=1)))


def _as_printed(cost: published.Result) -> tuple[str, ...]:
    """A row of the paper's table."""
    given = cost.values
    return (
        f"{cost.table}, {cost.row}",
        f"{given['training_seconds']:.0f} s",
        "-",
        "-",
        f"{given['watt_hours']:g} Wh",
        f"{given['megabytes']:g} MB" if "megabytes" in given else "-",
        cost.size or "-",
        f"{given['inference_ms']:g} ms" if "inference_ms" in given else "-",
    )


def cost_of(
    run: Path,
    trained: Trained,
    datasets: Sequence[Dataset],
    rows: Rows,
    row_indices: NDArray[np.int64],
    probabilities: torch.Tensor | None,
    about: Mapping[str, str],
) -> tuple[dict[str, Any], Table]:
    """Energy and time of training, and of one prediction on one core, beside the same network of the paper
    (D'Hooghe 2022, Tables 4.3 and 5.1) where it has one (`about`, see `run_facts.facts`).
    """
    used, course = energy.read(run), epochs.read(run)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for one in row_indices[:20].tolist():
        given = None if probabilities is None else probabilities[one : one + 1]
        sound = None
        begun = time.perf_counter()
        if TARGETS.load(trained.target).windows:
            sound = rows.sounds(np.array([one]))
        elif rows.audio is not None:
            sound = _sound(datasets, rows, one, dry=trained.shape.dry)
        trained.predict(torch.from_numpy(rows.features[one : one + 1]), given, sound)
        times.append(time.perf_counter() - begun)
    torch.set_num_threads(threads)
    spent: dict[str, Any] = {
        "training_seconds": sum(row["seconds"] for row in course),
        "waiting_share": epochs.waiting_share(course),
        "epochs": len(course),
        "watt_hours": used["watt_hours"] if used else None,
        "megabytes": (run / MODEL_FILE).stat().st_size / 1e6,
        "parameters": parameter_count(trained.network.network),
        "inference_ms": 1000 * float(np.median(times)),
    }
    theirs = published.beside(about, "watt_hours")
    return spent, Table(
        "Cost (one sound at a time on one core; features not counted)",
        ("", "training", "waiting for data", "epochs", "energy", "size", "parameters", "inference"),
        (
            (
                "this run",
                f"{spent['training_seconds']:.0f} s",
                "not measured" if spent["waiting_share"] is None else f"{100 * spent['waiting_share']:.2g} %",
                str(spent["epochs"]),
                f"{spent['watt_hours']:.2g} Wh" if used else "not measured",
                f"{spent['megabytes']:.3g} MB",
                str(spent["parameters"]),
                f"{spent['inference_ms']:.3g} ms",
            ),
            *(_as_printed(cost) for cost in theirs),
        ),
        note="Energy by codecarbon, where training was asked to measure it (--set measure_energy=true)."
        + (f" Tables: {theirs[0].paper}, {theirs[0].condition}." if theirs else ""),
    )
