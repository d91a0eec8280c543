"""Fine-tuning through the real effect on out-of-domain sounds, compared with a search at inference time.

D'Hooghe 2022 trained on parameters, handed over to a spectral loss little by little or at once, with some layers
frozen or none, went on without parameters on out-of-domain sounds, and saw the predictions collapse towards the clean
sound. `study` does the same with the real effect and measures every stage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from timbre_data.models.data.opening import open_named
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation import intervals, metrics
from timbre_data.models.evaluation.tables import Table, number, ranged
from timbre_data.models.inference import spectral_search
from timbre_data.models.inference.spectral_search import Task
from timbre_data.models.studies import spectral
from timbre_data.models.studies.spectral import Gradient, Renderer
from timbre_data.models.training import checkpoints, runs
from timbre_data.models.training.checkpoints import Trained, as_sound
from timbre_data.models.training.preparing import prepare
from timbre_data.pipeline.build.connecting import dask_client
from timbre_data.pipeline.build.engine import Cluster
from timbre_data.pipeline.catalogue.files import write_whole
from timbre_data.pipeline.store.columns import ORDER
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.settings import TrainSettings

FEWEST = 8
"""Renders of a search for one sound."""
BATCH = 64
"""Rows that a network answers at once."""


class _Columns(nn.Module):
    """A regressor that gives one dataset's parameters only."""

    def __init__(self, network: nn.Module, columns: list[int]) -> None:
        super().__init__()
        self.network, self.columns = network, columns

    def forward(
        self, features: torch.Tensor, probabilities: torch.Tensor | None = None, sounds: torch.Tensor | None = None
    ) -> torch.Tensor:
        result = self.network(features, probabilities, sounds)
        return cast(torch.Tensor, result[:, self.columns])


@dataclass(frozen=True)
class _Set:
    """Sounds to learn from or to test on, with the network's inputs for them."""

    task: Task
    mask: NDArray[np.bool_]
    inputs: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
    """Features, probabilities of the classes, sounds."""

    def predict(self, network: nn.Module) -> NDArray[np.float32]:
        with torch.inference_mode():
            parts = [None if one is None else one.split(BATCH) for one in self.inputs]
            batches = range(-(-len(self.mask) // BATCH))
            made = [network(*(None if one is None else one[k] for one in parts)) for k in batches]
            return np.asarray(torch.cat(made).numpy(), np.float32)


def study(
    run: Path,
    on: str,
    *,
    gradients: Sequence[Gradient] = ("spsa", "differences"),
    frozen: int = 0,
    at_once: bool = False,
    steps: int = 150,
    learn_rows: int = 256,
    test_rows: int = 48,
    evaluations: int = 160,
    seed: int = 0,
    cluster: Cluster | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], Table]:
    """Fine-tune a regressor on the sounds of `on`, a dataset with the parameters of one that it was trained on: from
    the loss of its parameters to that of its sounds, over half of the steps or `at_once`, its first `frozen` layers
    left as they are.

    Returns the median re-rendered MRSTFT of every stage on held-out sounds of both, with 95 % intervals (bootstrap
    over sounds), and how strong the effect is that it predicts; with `evaluations` 0 without the search. Raises
    `UsageError` for runs and datasets that do not fit.
    """
    made, trained = runs.open_run(run), checkpoints.load(run)
    if trained.task != "regression" or hasattr(trained.network.network, "decode"):
        raise UsageError(
            f"{run} cannot be fine-tuned: a regressor that gives its parameters as numbers is needed (regressor-mlp, autofx)."
        )
    if 0 < evaluations < FEWEST:
        raise UsageError(f"a search of {evaluations} renders finds nothing: give {FEWEST} or more, or 0 for none.")
    layers = len(spectral.layers_of(trained.network))
    if frozen >= layers:
        raise UsageError(f"{run} has {layers} layers with weights: freeze fewer.")
    if made.settings.split == "row":
        raise UsageError(
            f"{run} was trained with --split row, so no sound is new to it: fine-tune one with --split note."
        )
    there = open_named(on)
    names = list(there.space.names)
    home = next((name for name in made.settings.data if list(open_named(name).space.names) == names), None)
    if home is None:
        raise UsageError(f"{on} has parameters that {run} did not learn from one dataset: {', '.join(names)}.")
    network = _Columns(trained.network, [list(trained.outputs).index(name) for name in names]).eval()
    in_learn, in_test, mean = _sets(made.settings, trained, home, learn_rows, test_rows)
    out_learn, out_test, _ = _sets(made.settings, trained, on, learn_rows, test_rows)
    tests = {"in domain": in_test, "out of domain": out_test}
    scores: dict[str, dict[str, dict[str, Any]]] = {}

    with dask_client(cluster or Cluster()) as client:
        render = Renderer(client, there.recipe)

        def measure(stage: str, labels: dict[str, NDArray[np.float32]]) -> None:
            scores[stage] = {}
            for where, one in tests.items():
                wet = render(one.task.dry, labels[where].astype(np.float64), one.task.order)
                scores[stage][where] = _scores(wet, one.task)
            say(f"{stage}: {scores[stage]}")

        scores["the clean sound itself"] = {where: _scores(one.task.dry, one.task) for where, one in tests.items()}
        measure("oracle", {where: one.task.labels for where, one in tests.items()})
        measure(
            "random parameters",
            {w: metrics.random_predictor(len(one.mask), len(names), seed) for w, one in tests.items()},
        )
        measure("mean parameters", {w: np.tile(mean, (len(one.mask), 1)) for w, one in tests.items()})
        supervised = {where: one.predict(network) for where, one in tests.items()}
        measure("supervised", supervised)
        common: dict[str, Any] = {"steps": steps, "seed": seed, "say": say, "frozen": frozen}
        way = f"{', at once' if at_once else ''}{f', {frozen} layers frozen' if frozen else ''}"
        for gradient in gradients:
            tuned = spectral.finetune(
                network,
                in_learn.inputs,
                in_learn.task,
                in_learn.mask,
                render,
                gradient=gradient,
                hand_over=1 if at_once else steps // 2,
                **common,
            )
            measure(f"handed over to the sound ({gradient}{way})", {w: one.predict(tuned) for w, one in tests.items()})
            alone = spectral.finetune(
                tuned,
                out_learn.inputs,
                out_learn.task,
                out_learn.mask,
                render,
                gradient=gradient,
                hand_over=0,
                **common,
            )
            measure(
                f"then unsupervised, out of domain ({gradient}{way})",
                {w: one.predict(alone) for w, one in tests.items()},
            )
        middle = {where: np.tile(mean, (len(one.mask), 1)) for where, one in tests.items()}
        starts = (("search from the supervised answer", supervised), ("search from the mean", middle))
        for stage, start in starts if evaluations else ():
            measure(
                f"{stage} (CMA-ES, {evaluations} renders)",
                {
                    where: spectral.search(one.task, start[where], one.mask, client, evaluations=evaluations, seed=seed)
                    for where, one in tests.items()
                },
            )
    target = {
        where: float(np.median(spectral_search.distances(one.task.target, one.task.dry)))
        for where, one in tests.items()
    }
    result = {
        "run": run.name,
        "in_domain": home,
        "out_of_domain": on,
        "snapshot": there.snapshot,
        "asked": {
            "gradients": list(gradients),
            "frozen": frozen,
            "at_once": at_once,
            "steps": steps,
            "test_rows": test_rows,
            "evaluations": evaluations,
        },
        "target_strength": target,
        "stages": scores,
    }
    table = table_of(result)
    stem = run / stem_of(there.name, frozen, at_once=at_once)
    write_whole(stem.with_suffix(".json"), json.dumps(result, indent=2))
    write_whole(stem.with_suffix(".md"), table.markdown() + "\n")
    return result, table


def is_studied(run: Path, on: str, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a study found of a run, on a dataset as it is now, where that was asked; None where it was not made so."""
    there = open_named(on)
    path = run / f"{stem_of(there.name, asked['frozen'], at_once=asked['at_once'])}.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    same = found.get("snapshot") == there.snapshot and found.get("asked") == asked
    return found if same else None


def stem_of(data: str, frozen: int, *, at_once: bool) -> str:
    """What the files of a study are called, in the folder of its run."""
    return f"spectral-{data}{'-at-once' if at_once else ''}{f'-frozen-{frozen}' if frozen else ''}"


def _sets(
    settings: TrainSettings, trained: Trained, name: str, learn: int, test: int
) -> tuple[_Set, _Set, NDArray[np.float32]]:
    """Rows to learn from, rows to test on (held-out notes), and the mean parameters of the former."""
    data = open_named(name)
    rows, probabilities = prepare(settings.model_copy(update={"data": (name,), "limit": None}), [data], needed=(0, 2))
    parts = []
    for split, count in ((0, learn), (2, test)):
        row_indices = rows.where(split)[:count]
        if not len(row_indices):
            raise UsageError(f"{name} has no rows of the {('training', '', 'test')[split]} split: render more.")
        parts.append(_set(data, rows, probabilities, row_indices))
    mean = metrics.mean_predictor(parts[0].task.labels, parts[0].mask, 1)[0]
    return parts[0], parts[1], mean


def _set(data: Dataset, rows: Rows, probabilities: torch.Tensor | None, row_indices: NDArray[np.int64]) -> _Set:
    where = rows.row[row_indices]
    target = data.audio(where)[:, 0]
    task = Task(
        data.recipe,
        np.ascontiguousarray(data.dry(where)[:, 0]),
        target / np.maximum(np.abs(target).max(axis=1, keepdims=True), 1e-4),
        rows.labels[row_indices],
        data.read(ORDER, where),
    )
    given = None if probabilities is None else probabilities[row_indices]
    sounds = rows.sounds(row_indices)
    heard = None if sounds is None else as_sound(sounds[: len(row_indices)])
    return _Set(task, rows.mask[row_indices], (torch.from_numpy(rows.features[row_indices]), given, heard))


def _scores(wet: Audio, task: Task) -> dict[str, Any]:
    """The median distances of sounds [shape=(n, samples)] from their targets, with its 95 % interval, and from the dry
    ones.
    """
    far = spectral_search.distances(wet, task.target)
    strength = float(np.median(spectral_search.distances(wet, task.dry)))
    return {"distance": float(np.median(far)), "interval": list(intervals.of_median(far)), "strength": strength}


def table_of(result: Mapping[str, Any]) -> Table:
    """What a study found, as `study` keeps it, for people."""
    lines = []
    for stage, where in result["stages"].items():
        inside, outside = where["in domain"], where["out of domain"]
        lines.append(
            (
                stage,
                *(ranged(one["distance"], one["interval"]) for one in (inside, outside)),
                number(inside["strength"]),
                number(outside["strength"]),
            )
        )
    strength, rows = result["target_strength"], result["asked"]["test_rows"]
    lines.append(("target", "0", "0", number(strength["in domain"]), number(strength["out of domain"])))
    return Table(
        f"{result['run']} on {result['out_of_domain']}: median MRSTFT over {rows} held-out sounds each, 95 % intervals",
        (
            "parameters from",
            "to target, in domain",
            "to target, out of domain",
            "from dry, in domain",
            "from dry, out of domain",
        ),
        tuple(lines),
        note="A collapse shows in the last columns: the effect of the predictions becomes weaker than that of the targets.",
    )
