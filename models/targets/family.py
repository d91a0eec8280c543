"""The family of a row's effect: the six aggregated classes of IDMT-SMT-Audio-Effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from timbre_data.models.data.classes import Classes, family_classes
from timbre_data.models.targets._classification import ClassificationTarget
from timbre_data.pipeline.effects import EFFECTS

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


class FamilyTarget(ClassificationTarget):
    """The family of the effect."""

    summary = "The family of each row's effect (the six aggregated classes of IDMT-SMT-Audio-Effects)."
    names_effects = True

    def classes(self, datasets: Sequence[Dataset]) -> Classes:
        """The families, in the order of IDMT-SMT."""
        return family_classes(datasets)

    def names_of(self, effect: str) -> set[str]:
        """Its family."""
        return {EFFECTS.load(effect).family}


TARGET = FamilyTarget()
