"""What targets share whose rows have one class each."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import Found
from timbre_data.models.targets._target import Evaluated, Target, refuse_several


class OneClass(Target):
    """One class a row: cross-entropy of a soft-max."""

    task = "classification"

    def check(self, rows: Rows) -> None:
        """Refuse rows with no class or several."""
        refuse_several(rows)

    def outputs(self, rows: Rows) -> tuple[str, ...]:
        """The classes."""
        return rows.class_names

    def tensor(self, rows: Rows, several: bool) -> torch.Tensor:
        """The class of each row [shape=(n,)]."""
        return torch.from_numpy(rows.classes)

    def loss(
        self,
        output: torch.Tensor,
        targets: torch.Tensor,
        mask: torch.Tensor,
        identifiable: torch.Tensor,
        several: bool = False,
    ) -> torch.Tensor:
        """Cross-entropy."""
        return F.cross_entropy(output, targets)

    def decode(self, output: torch.Tensor, several: bool) -> torch.Tensor:
        """Probabilities that add up to 1."""
        return torch.softmax(output, dim=1)

    def describe(self, rows: Rows) -> dict[str, Any]:
        """The family of each class."""
        return {"families": rows.class_families}

    def evaluate(self, evaluated: Evaluated) -> Found:
        """Accuracy, each class, and a confusion matrix."""
        from timbre_data.models.evaluation import class_scores

        rows, chosen, predicted = evaluated.row_predictions
        return class_scores.one_class(rows, chosen, predicted, evaluated.split, evaluated.folder)
