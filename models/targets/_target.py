"""The base of targets: everything about a run that depends on what it learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import Model, Shape, Task
from timbre_data.models.data.classes import Classes, effect_classes
from timbre_data.models.data.rows import Rows, load_rows
from timbre_data.models.evaluation import run_facts
from timbre_data.models.evaluation.tables import EvaluationResult
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.models.data.learned import Learned
    from timbre_data.models.training.checkpoints import Trained
    from timbre_data.pipeline.store.reader import Dataset
    from timbre_data.schemas.settings import TrainSettings

Front = Callable[[NDArray[Any]], NDArray[Any]]
"""A function from stored sounds [shape=(k, samples)] to the output of a model's front end."""
Example = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""A right prediction, a wrong one, the targets and the mask of two rows."""


@dataclass(frozen=True)
class Evaluated:
    """The input of an evaluation: a finished run, its datasets, the rows of one split and their predictions.

    `predicted` [shape=(n, outputs)] is of the rows `row_indices` [shape=(n,)]; `recognised` [shape=(n, effects)] by a
    regressor that tells effects, too; `draw(places, count)` [shape=(k, count, outputs)] draws settings of the rows at
    `places` of `row_indices`, by one that can. Targets that learn from pairs have
    neither rows nor predictions, and with `row_indices` the positions of pairs. `learned` is what the run keeps of what
    it learned, where it is evaluated on other data. `sounds` rows are rendered again and compared by `distances`;
    pictures and sounds go into `folder`.
    """

    run: Path
    trained: Trained
    settings: TrainSettings
    datasets: Sequence[Dataset]
    split: str
    folder: Path
    sounds: int
    distances: Sequence[str]
    seed: int
    rows: Rows | None = None
    row_indices: NDArray[np.int64] | None = None
    predicted: NDArray[np.float32] | None = None
    recognised: NDArray[np.float32] | None = None
    draw: Callable[[NDArray[np.int64], int], NDArray[np.float32]] | None = None
    learned: Learned | None = None

    @cached_property
    def about(self) -> dict[str, str]:
        """What the run is, as far as it matters for which published figures belong beside it."""
        trained = self.trained
        return run_facts.facts(
            trained.model,
            features=trained.features,
            conditioning=trained.shape.conditioning,
            options=trained.options,
            classes=trained.outputs if trained.task == "classification" else (),
            groups=()
            if self.rows is None or self.row_indices is None
            else np.unique(self.rows.group[self.row_indices].astype(str)).tolist(),
            transformation=run_facts.transformation(self.datasets[0].recipe.chain.steps)
            if trained.task == "transformation"
            else None,
            parameters=trained.outputs if trained.task == "regression" and self._one_effect_each else (),
            **self._of_a_synth,
        )

    @property
    def _one_effect_each(self) -> bool:
        """Whether no row has a chain of effects."""
        return self.rows is not None and self.row_indices is not None and self.rows.one_effect_each(self.row_indices)

    @property
    def _of_a_synth(self) -> dict[str, Any]:
        """How a network that tells the knobs of a synth learned."""
        if self.trained.model != "inverse_synth":
            return {}
        settings = self.settings
        return {
            "knobs": len(self.trained.parameters),
            "sounds": settings.limit or sum(len(data.usable()) for data in self.datasets),
            "optimizer": settings.optimizer,
            "optimizer_options": settings.optimizer_options,
        }

    @property
    def row_predictions(self) -> tuple[Rows, NDArray[np.int64], NDArray[np.float32]]:
        """Rows, the chosen ones and their predictions, of a target that learns from rows."""
        assert self.rows is not None
        assert self.row_indices is not None
        assert self.predicted is not None
        return self.rows, self.row_indices, self.predicted


class Target(ABC):
    """The base of targets.

    `learns_from` "rows" of tables, or "pairs" of sounds before and after a transformation. `windows`: labels belong to
    frames, and a network gets a window around each. `side_by_side`: a longer recording is cut into segments without
    overlap, instead of at onsets. `always_multi_label`: a row has any number of them, each with a probability of its
    own. `rank` decides which of several defaults is taken, the lowest first.
    """

    summary: ClassVar[str]
    task: ClassVar[Task]
    rank: ClassVar[int] = 50
    learns_from: ClassVar[Literal["rows", "pairs"]] = "rows"
    windows: ClassVar[bool] = False
    side_by_side: ClassVar[bool] = False
    always_multi_label: ClassVar[bool] = False
    names_effects: ClassVar[bool] = False

    def suits(self, model: Model) -> bool:
        """Whether a model can learn this."""
        return model.task == self.task and bool(model.context) == self.windows

    def is_default(self, model: Model, datasets: Sequence[Dataset]) -> bool:
        """Whether a model learns this on these datasets by default."""
        return False

    def classes(self, datasets: Sequence[Dataset]) -> Classes:
        """The classes of rows. Raises `UsageError` for datasets without."""
        return effect_classes(datasets)

    def load(
        self,
        settings: TrainSettings,
        datasets: Sequence[Dataset],
        model: Model,
        features: Sequence[str],
        frontend: Any,
        needed: Sequence[int] | None = None,
    ) -> Rows:
        """The rows of a run: features, labels, splits, and sounds where the model takes those, or what `frontend` makes
        of them (of rows of the splits that are `needed`; of all by default).
        """
        return load_rows(
            datasets,
            features,
            settings.split,
            settings.limit,
            classes=self.classes,
            audio=model.input == "audio",
            frontend=frontend,
            needed=needed,
            hold_out=settings.hold_out,
            known_dry=settings.known_dry,
        )

    def check(self, rows: Rows) -> None:  # noqa: B027  # most rows can be learned
        """Refuse rows that cannot be learned. Raises `UsageError`."""

    @abstractmethod
    def outputs(self, rows: Rows) -> tuple[str, ...]:
        """Names of a network's outputs."""

    def fitted_shape(self, shape: Shape, rows: Rows) -> Shape:
        """The shape of the network, with what this target adds to it."""
        return shape

    def multi_label(self, model: Model, rows: Rows, seen: NDArray[np.int64]) -> bool:
        """Whether each class gets a probability of its own, judged by the rows that training sees."""
        return self.always_multi_label

    @abstractmethod
    def training_targets(self, rows: Rows, multi_label: bool) -> torch.Tensor:
        """Training targets, one row per row."""

    @abstractmethod
    def loss(
        self,
        output: torch.Tensor,
        targets: torch.Tensor,
        mask: torch.Tensor,
        identifiable: torch.Tensor,
        multi_label: bool = False,
    ) -> torch.Tensor:
        """The loss of a network's output where the network has no loss of its own."""

    @abstractmethod
    def decode(self, output: torch.Tensor, multi_label: bool) -> torch.Tensor:
        """A network's output as probabilities or normalized parameters."""

    @abstractmethod
    def evaluate(self, evaluated: Evaluated) -> EvaluationResult:
        """Metrics and tables of a run on one split; pictures go into its folder."""

    def describe(self, rows: Rows) -> dict[str, Any]:
        """The description of a run's outputs (fields of `Trained`)."""
        return {}

    def names_of(self, effect: str) -> set[str]:
        """Further names of an effect among the classes, besides its own name and class."""
        return set()

    def example(self) -> Example:
        """Two rows for the contract: a right output, a wrong one, the targets, the mask."""
        logits = 8 * torch.eye(2)
        return logits, -logits, torch.tensor([0, 1]), torch.ones(2, 2, dtype=torch.bool)


def refuse_multi_label(rows: Rows) -> None:
    """Refuse rows with no class or several where one is to be named, and classes that are alone."""
    multi_label = int((rows.classes < 0).sum())
    if multi_label:
        raise UsageError(
            f"{multi_label} rows have no effect or several, which one class cannot name: learn all of them with --target effects."
        )
    refuse_lone_class(rows)


def refuse_lone_class(rows: Rows) -> None:
    """Refuse a class that is alone."""
    if len(rows.class_names) < 2:
        raise UsageError(f"there is only one class, {rows.class_names[0]}: give more datasets with --data a,b.")
