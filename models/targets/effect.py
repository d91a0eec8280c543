"""The one effect of a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from timbre_data.models.architectures import Model
from timbre_data.models.targets._classification import ClassificationTarget

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


class EffectTarget(ClassificationTarget):
    """The effect that was applied; several choruses are one class."""

    summary = "The effect of each row, one class a row."
    names_effects = True

    def is_default(self, model: Model, datasets: Sequence[Dataset]) -> bool:
        """For every classifier of whole sounds."""
        return self.suits(model)


TARGET = EffectTarget()
