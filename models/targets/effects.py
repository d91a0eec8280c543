"""All effects of a chain: several labels a row."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import Found
from timbre_data.models.targets._one_class import OneClass
from timbre_data.models.targets._target import Evaluated, Example, refuse_lone_class


class EffectsTarget(OneClass):
    """Which effects were applied, any number of them: binary cross-entropy of a sigmoid for each."""

    summary = "All effects of a chain, several labels a row."
    several_classes = True
    names_effects = True

    def check(self, rows: Rows) -> None:
        """Refuse classes that are alone."""
        refuse_lone_class(rows)

    def tensor(self, rows: Rows, several: bool) -> torch.Tensor:
        """Which classes each row has [shape=(n, k)]."""
        return torch.from_numpy(rows.present).float()

    def loss(
        self,
        output: torch.Tensor,
        targets: torch.Tensor,
        mask: torch.Tensor,
        identifiable: torch.Tensor,
        several: bool = True,
    ) -> torch.Tensor:
        """Binary cross-entropy."""
        return F.binary_cross_entropy_with_logits(output, targets)

    def decode(self, output: torch.Tensor, several: bool) -> torch.Tensor:
        """A probability for each class."""
        return torch.sigmoid(output)

    def evaluate(self, evaluated: Evaluated) -> Found:
        """Each effect by itself, and the share of rows with all of them right."""
        from timbre_data.models.evaluation import class_scores

        rows, chosen, predicted = evaluated.row_predictions
        return class_scores.several_classes(rows, chosen, predicted, evaluated.split)

    def example(self) -> Example:
        """Two rows with one class each."""
        right, wrong, _, mask = super().example()
        return right - 4, wrong + 4, torch.eye(2), mask


TARGET = EffectsTarget()
