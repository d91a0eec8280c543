"""A transformation of sound, learned from pairs of sounds before and after it: the end-to-end equaliser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from timbre_data.models.architectures import Model
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import EvaluationResult
from timbre_data.models.targets._target import Evaluated, Example, Target

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


class TransformationTarget(Target):
    """The sound after a transformation, from the sound before it."""

    summary = "The sound after an effect or filter, from the sound before it (end-to-end equalisation)."
    task = "transformation"
    learns_from = "pairs"

    def is_default(self, model: Model, datasets: Sequence[Dataset]) -> bool:
        """For every model that maps sounds to sounds."""
        return self.suits(model)

    def outputs(self, rows: Rows) -> tuple[str, ...]:
        """It has none with names."""
        return ()

    def training_targets(self, rows: Rows, multi_label: bool) -> torch.Tensor:
        """It learns from pairs, not from rows."""
        raise NotImplementedError

    def loss(
        self,
        output: torch.Tensor,
        targets: torch.Tensor,
        mask: torch.Tensor,
        identifiable: torch.Tensor,
        multi_label: bool = False,
    ) -> torch.Tensor:
        """The loss of Martinez Ramirez & Reiss 2018 on frames [shape=(n, 1024) both]."""
        from timbre_data.models.evaluation.equaliser_losses import frame_loss

        return frame_loss(output, targets)

    def decode(self, output: torch.Tensor, multi_label: bool) -> torch.Tensor:
        """Frames are sounds already."""
        return output

    def evaluate(self, evaluated: Evaluated) -> EvaluationResult:
        """The paper's losses, the learned response, pictures, and sounds to hear."""
        from timbre_data.models.evaluation import equaliser_scores

        return equaliser_scores.evaluate_transformation(evaluated)

    def example(self) -> Example:
        """Two frames, and two of another pitch."""
        time = torch.arange(1024) / 1024
        right, wrong = (torch.stack([torch.sin(2 * torch.pi * k * time) for k in ks]) for ks in ((20, 31), (55, 9)))
        return right, wrong, right.clone(), torch.ones(2, 1, dtype=torch.bool)


TARGET = TransformationTarget()
