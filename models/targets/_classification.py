"""The base of targets that are classes: one a row, or any number."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import EvaluationResult
from timbre_data.models.targets._target import Evaluated, Target, refuse_multi_label


class ClassificationTarget(Target):
    """Classes of rows: cross-entropy of a soft-max, or with `multi_label` binary cross-entropy of a sigmoid for
    each.
    """

    task = "classification"

    def check(self, rows: Rows) -> None:
        """Refuse rows with no class or several."""
        refuse_multi_label(rows)

    def outputs(self, rows: Rows) -> tuple[str, ...]:
        """The classes."""
        return rows.class_names

    def training_targets(self, rows: Rows, multi_label: bool) -> torch.Tensor:
        """The class of each row [shape=(n,)], or with `multi_label` which ones it has [shape=(n, k)]."""
        return torch.from_numpy(rows.present).float() if multi_label else torch.from_numpy(rows.classes)

    def loss(
        self,
        output: torch.Tensor,
        targets: torch.Tensor,
        mask: torch.Tensor,
        identifiable: torch.Tensor,
        multi_label: bool = False,
    ) -> torch.Tensor:
        """Categorical or binary cross-entropy."""
        return F.binary_cross_entropy_with_logits(output, targets) if multi_label else F.cross_entropy(output, targets)

    def decode(self, output: torch.Tensor, multi_label: bool) -> torch.Tensor:
        """Probabilities that add up to 1, or with `multi_label` one for each class by itself."""
        return torch.sigmoid(output) if multi_label else torch.softmax(output, dim=1)

    def describe(self, rows: Rows) -> dict[str, Any]:
        """The family of each class."""
        return {"families": rows.class_families}

    def evaluate(self, evaluated: Evaluated) -> EvaluationResult:
        """Accuracy, each class, and a confusion matrix."""
        from timbre_data.models.evaluation import class_scores

        rows, row_indices, predicted = evaluated.row_predictions
        return class_scores.one_class(rows, row_indices, predicted, evaluated.about, evaluated.split, evaluated.folder)
