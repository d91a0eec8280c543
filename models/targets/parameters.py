"""The parameters of effects, or of a synth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.architectures import Model, Shape
from timbre_data.models.data.exchangeable import like_parts
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import EvaluationResult
from timbre_data.models.targets._target import Evaluated, Example, Target
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


def masked_mse(predicted: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean squared error over the entries where the mask holds [shape=(n, p) all]."""
    squared = (predicted - labels).square() * mask
    return squared.sum() / mask.sum().clamp(min=1)


class ParametersTarget(Target):
    """Normalized parameters: mean squared error over those that apply to a row."""

    summary = "The normalized parameters of effects or of a synth, over those that apply to a row."
    task = "regression"

    def is_default(self, model: Model, datasets: Sequence[Dataset]) -> bool:
        """For every regressor."""
        return self.suits(model)

    def check(self, rows: Rows) -> None:
        """Refuse datasets without parameters."""
        if not rows.parameter_names:
            raise UsageError("these datasets have no parameters to learn: choose one with an effect that has some.")

    def outputs(self, rows: Rows) -> tuple[str, ...]:
        """The parameters."""
        return rows.parameter_names

    def fitted_shape(self, shape: Shape, rows: Rows) -> Shape:
        """The shape, with the positions of each parameter, the effect that it belongs to, and parts that may be
        exchanged.
        """
        effects = list(dict.fromkeys(rows.effects))
        parameters = [Parameter.model_validate(one) for one in rows.parameters]
        return replace(
            shape,
            positions=tuple(one.steps for one in parameters),
            interchangeable=like_parts(rows.interchangeable, rows.parameter_names, parameters),
            groups=tuple(effects.index(effect) for effect in rows.effects),
        )

    def multi_label(self, model: Model, rows: Rows, seen: NDArray[np.int64]) -> bool:
        """Whether a row may have several effects, for networks that recognise them."""
        return bool((rows.present[seen].sum(axis=1) > 1).any())

    def training_targets(self, rows: Rows, multi_label: bool) -> torch.Tensor:
        """The labels [shape=(n, p)]."""
        return torch.from_numpy(rows.labels)

    def loss(
        self,
        output: torch.Tensor,
        targets: torch.Tensor,
        mask: torch.Tensor,
        identifiable: torch.Tensor,
        multi_label: bool = False,
    ) -> torch.Tensor:
        """Mean squared error where the mask holds."""
        return masked_mse(output, targets, mask)

    def decode(self, output: torch.Tensor, multi_label: bool) -> torch.Tensor:
        """Regressors give normalized values."""
        return output

    def describe(self, rows: Rows) -> dict[str, Any]:
        """The parameter of each output, and its effect."""
        return {"parameters": rows.parameters, "effects": rows.effects}

    def evaluate(self, evaluated: Evaluated) -> EvaluationResult:
        """Errors beside the mean and a random predictor, knobs of a synth, and distances of re-rendered sounds."""
        from timbre_data.models.evaluation import parameter_errors

        return parameter_errors.evaluate_parameters(evaluated)

    def example(self) -> Example:
        """Two rows of two parameters."""
        labels = torch.tensor([[0.2, 0.9], [0.5, 0.1]])
        return labels.clone(), 1 - labels, labels, torch.ones(2, 2, dtype=torch.bool)


TARGET = ParametersTarget()
