"""All effects of a chain: several labels a row."""

from __future__ import annotations

import torch

from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import EvaluationResult
from timbre_data.models.targets._classification import ClassificationTarget
from timbre_data.models.targets._target import Evaluated, Example, refuse_lone_class


class EffectsTarget(ClassificationTarget):
    """The effects that were applied, any number of them: binary cross-entropy of a sigmoid for each."""

    summary = "All effects of a chain, several labels a row."
    always_multi_label = True
    names_effects = True

    def check(self, rows: Rows) -> None:
        """Refuse classes that are alone."""
        refuse_lone_class(rows)

    def evaluate(self, evaluated: Evaluated) -> EvaluationResult:
        """Each effect by itself, and the share of rows with all of them right."""
        from timbre_data.models.evaluation import class_scores

        rows, row_indices, predicted = evaluated.row_predictions
        return class_scores.multi_label(rows, row_indices, predicted, evaluated.split)

    def example(self) -> Example:
        """Two rows with one class each."""
        right, wrong, _, mask = super().example()
        return right - 4, wrong + 4, torch.eye(2), mask


TARGET = EffectsTarget()
