"""The tags of a sound: instruments, moods, genres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from timbre_data.models.architectures import Model
from timbre_data.models.data.classes import Classes, tag_classes
from timbre_data.models.data.rows import Rows
from timbre_data.models.evaluation.tables import EvaluationResult
from timbre_data.models.targets._classification import ClassificationTarget
from timbre_data.models.targets._target import Evaluated
from timbre_data.pipeline.store.columns import TAGS

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


class TagsTarget(ClassificationTarget):
    """The tags of a sound: a soft-max where every training row has one, else a sigmoid for each."""

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

    def multi_label(self, model: Model, rows: Rows, seen: NDArray[np.int64]) -> bool:
        """Whether a training row has no tag or several, or the model treats each tag by itself."""
        return model.multi_label or bool((rows.classes[seen] < 0).any())

    def evaluate(self, evaluated: Evaluated) -> EvaluationResult:
        """Ranking and threshold scores of pieces and clips."""
        from timbre_data.models.evaluation.tag_scores import evaluate_tags

        rows, row_indices, predicted = evaluated.row_predictions
        return evaluate_tags(rows, row_indices, predicted, evaluated.about, evaluated.split, evaluated.folder)


TARGET = TagsTarget()
