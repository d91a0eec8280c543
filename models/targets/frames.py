"""The class of every frame of a recording: phonemes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from timbre_data.models.architectures import Model
from timbre_data.models.data.rows import Rows
from timbre_data.models.data.windows import load_frames
from timbre_data.models.evaluation.tables import EvaluationResult
from timbre_data.models.targets._classification import ClassificationTarget
from timbre_data.models.targets._target import Evaluated
from timbre_data.schemas.settings import TrainSettings

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


class FramesTarget(ClassificationTarget):
    """The class of every frame, seen with the frames around it."""

    summary = "The class of every frame of a recording (phonemes), seen with the frames around it."
    rank = 10
    windows = True

    def is_default(self, model: Model, datasets: Sequence[Dataset]) -> bool:
        """For networks that see a frame in its context."""
        return self.suits(model)

    def load(
        self,
        settings: TrainSettings,
        datasets: Sequence[Dataset],
        model: Model,
        features: Sequence[str],
        frontend: Any,
        needed: Sequence[int] | None = None,
    ) -> Rows:
        """Frames as rows. Raises `UsageError` for datasets without labelled frames."""
        return load_frames(datasets, model, frontend, settings.split, settings.limit, settings.hold_out)

    def check(self, rows: Rows) -> None:
        """Every frame has one class."""

    def evaluate(self, evaluated: Evaluated) -> EvaluationResult:
        """Accuracy over frames and recordings."""
        from timbre_data.models.evaluation.frame_scores import evaluate_frames

        rows, row_indices, predicted = evaluated.row_predictions
        return evaluate_frames(rows, row_indices, predicted, evaluated.about, evaluated.split, evaluated.folder)


TARGET = FramesTarget()
