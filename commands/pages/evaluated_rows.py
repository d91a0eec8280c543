"""The rows of an evaluation: what was true of each, what was predicted, and how far apart the two are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.data.opening import open_named
from timbre_data.models.targets import TARGETS
from timbre_data.models.training import checkpoints
from timbre_data.pipeline.store.columns import DRY_IDENTITY, DRY_INDEX, DRY_NOTE, IDENTIFIABLE, MASK, PARAMS
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import CorruptDataError, UsageError
from timbre_data.schemas.parameter import Parameter

METRICS, PREDICTIONS = "metrics.json", "predictions.npz"


@dataclass(frozen=True)
class EvaluatedRows:
    """A run's evaluation, read from its folder.

    `predicted` [shape=(n, outputs)] are normalized parameters or probabilities of the rows `row` of the datasets
    numbered `dataset` [shape=(n,) both].
    """

    folder: Path
    metrics: dict[str, Any]
    trained: checkpoints.Trained
    datasets: tuple[Dataset, ...]
    predicted: NDArray[np.float32]
    dataset: NDArray[np.int64]
    row: NDArray[np.int64]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the network's outputs."""
        return self.trained.outputs

    @property
    def regression(self) -> bool:
        """Whether outputs are parameters; otherwise they are classes."""
        return self.trained.target == "parameters"

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameter of each output of a regressor."""
        return tuple(Parameter.model_validate(described) for described in self.trained.parameters)

    def gather(self, path: str) -> NDArray[Any]:
        """An array's entries of every row, where all datasets have them in one shape."""
        parts = [data.read(path) for data in self.datasets]
        out = np.empty((len(self.row), *parts[0].shape[1:]), parts[0].dtype)
        for number, part in enumerate(parts):
            here = self.dataset == number
            out[here] = part[self.row[here]]
        return out

    def _wide(self, path: str) -> NDArray[Any]:
        """The outputs' columns of an array over each dataset's own parameters [shape=(n, outputs)]; 0 elsewhere."""
        out = np.zeros(self.predicted.shape, self.datasets[0].array(path).dtype)
        for number, data in enumerate(self.datasets):
            here = np.flatnonzero(self.dataset == number)
            values = data.read(path)[self.row[here]]
            for column, name in enumerate(data.space.names):
                if name in self.outputs:
                    out[here, self.outputs.index(name)] = values[:, column]
        return out

    @cached_property
    def labels(self) -> NDArray[np.float32]:
        """True normalized parameters [shape=(n, outputs)]."""
        return self._wide(PARAMS)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The parameters that apply to each row [shape=(n, outputs)]."""
        return self._wide(MASK)

    @cached_property
    def identifiable(self) -> NDArray[np.bool_]:
        """Those that can be heard [shape=(n, outputs)]."""
        return self.mask & self._wide(IDENTIFIABLE)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """The classes that each row has, of those that the run knows [shape=(n, outputs)]."""
        classes = TARGETS.load(self.trained.target).classes(self.datasets)
        out = np.zeros(self.predicted.shape, bool)
        for number, data in enumerate(self.datasets):
            here = np.flatnonzero(self.dataset == number)
            present = classes.present(data, slice(0, data.n))[self.row[here]]
            for column, name in enumerate(classes.names):
                if name in self.outputs:
                    out[here, self.outputs.index(name)] = present[:, column]
        return out

    @cached_property
    def errors(self) -> NDArray[np.float64]:
        """How wrong each row is [shape=(n,)]: root mean square error over the parameters that apply; of classes, 1 less
        the probability of what is true, or the largest such miss of several.
        """
        if self.regression:
            squared = np.where(self.mask, (self.predicted - self.labels).astype(np.float64) ** 2, 0).sum(axis=1)
            return np.sqrt(squared / np.maximum(self.mask.sum(axis=1), 1))
        if self.trained.multi_label:
            return np.abs(self.predicted - self.present).max(axis=1).astype(np.float64)
        return 1 - (self.predicted * self.present).sum(axis=1).astype(np.float64)

    @cached_property
    def notes(self) -> NDArray[np.float32]:
        """MIDI note of each row; NaN where it is not known [shape=(n,)]."""
        return self._of_dry(DRY_NOTE).astype(np.float32)

    @cached_property
    def dry_names(self) -> NDArray[Any]:
        """Name of each row's dry sound [shape=(n,)]."""
        return self._of_dry(DRY_IDENTITY)

    def _of_dry(self, path: str) -> NDArray[Any]:
        index = self.gather(DRY_INDEX).astype(np.int64)
        out = np.empty(len(index), object)
        for number, data in enumerate(self.datasets):
            here = self.dataset == number
            out[here] = np.array(data.read(path).tolist(), object)[index[here]]
        return out


def open_evaluation(run: Path, folder: Path) -> EvaluatedRows | None:
    """The rows of a finished evaluation; None for one that keeps no predictions of rows (frames, transformations).

    Raises `CorruptDataError` for damaged files, and `NotFoundError` where a dataset is gone.
    """
    metrics = read_metrics(folder)
    trained = checkpoints.load(run)
    file = folder / PREDICTIONS
    if trained.target in ("frames", "transformation") or not file.is_file():
        return None
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            predicted, dataset, row = (stored[name] for name in ("predicted", "dataset", "row"))
        snapshots = {str(name): str(snapshot) for name, snapshot in metrics["data"].items()}
        if predicted.shape != (len(row), len(trained.outputs)) or len(dataset) != len(row):
            raise ValueError("shapes do not fit the run")
    except (OSError, ValueError, KeyError, AttributeError, EOFError, BadZipFile) as error:
        raise CorruptDataError(f"{file} is damaged ({error}): evaluate the run again.") from None
    datasets = tuple(open_named(name, snapshot) for name, snapshot in snapshots.items())
    return EvaluatedRows(folder, metrics, trained, datasets, predicted, dataset.astype(np.int64), row.astype(np.int64))


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics of a finished evaluation. Raises `UsageError` where there is none, `CorruptDataError` for damage."""
    file = folder / METRICS
    if not file.is_file():
        raise UsageError(
            f"{folder.parent.name} has no finished {folder.name}: run timbre-data evaluate {folder.parent.name} first."
        )
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(metrics, dict) or not isinstance(metrics.get("data"), dict):
            raise ValueError("it names no data")
    except ValueError as error:
        raise CorruptDataError(f"{file} is damaged ({error}): evaluate the run again.") from None
    return metrics
