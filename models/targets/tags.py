"""The tags of a sound: instruments, moods, genres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from timbre_data.models.architectures import Model
from timbre_data.models.data.classes import Classes, tag_classes
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import Found
from timbre_data.models.targets._one_class import OneClass
from timbre_data.models.targets._target import Evaluated
from timbre_data.pipeline.store.columns import TAGS

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


class TagsTarget(OneClass):
    """Which tags a sound has: a soft-max where every training row has one, else a sigmoid for each."""

    summary = "The tags of each sound (instruments, moods), averaged over the pieces of a clip."
    rank = 20
    side_by_side = True

    def is_default(self, model: Model, datasets: Sequence[Dataset]) -> bool:
        """For classifiers of whole sounds, where all datasets have tags."""
        return self.suits(model) and all(data.has(TAGS) for data in datasets)

    def classes(self, datasets: Sequence[Dataset]) -> Classes:
        """The tags."""
        return tag_classes(datasets)

    def check(self, rows: Rows) -> None:
        """Any number of tags is allowed."""

    def several(self, model: Model, rows: Rows, seen: NDArray[np.int64]) -> bool:
        """Whether a training row has no tag or several, or the model treats each tag by itself."""
        return model.several_labels or bool((rows.classes[seen] < 0).any())

    def tensor(self, rows: Rows, several: bool) -> torch.Tensor:
        """Which tags each row has [shape=(n, k)], or its only one [shape=(n,)]."""
        return torch.from_numpy(rows.present).float() if several else super().tensor(rows, several)

    def loss(
        self,
        output: torch.Tensor,
        targets: torch.Tensor,
        mask: torch.Tensor,
        identifiable: torch.Tensor,
        several: bool = False,
    ) -> torch.Tensor:
        """Binary or categorical cross-entropy."""
        if several:
            return F.binary_cross_entropy_with_logits(output, targets)
        return super().loss(output, targets, mask, identifiable)

    def decode(self, output: torch.Tensor, several: bool) -> torch.Tensor:
        """A probability for each tag."""
        return torch.sigmoid(output) if several else super().decode(output, several)

    def evaluate(self, evaluated: Evaluated) -> Found:
        """Ranking and threshold scores of pieces and clips."""
        from timbre_data.models.evaluation.tag_scores import evaluate_tags

        rows, chosen, predicted = evaluated.row_predictions
        return evaluate_tags(rows, chosen, predicted, evaluated.settings.model, evaluated.split, evaluated.folder)


TARGET = TagsTarget()
