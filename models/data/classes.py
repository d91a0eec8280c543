"""The classes of rows: effects, families or tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.effect import FAMILIES, Effect, Family
from timbre_data.pipeline.effects import EFFECTS
from timbre_data.pipeline.store.columns import ORDER, TAGS
from timbre_data.schemas.errors import UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset


@dataclass(frozen=True)
class Classes:
    """The classes of some datasets: names, the family of each, and `present(data, rows)`, which classes each row has
    [shape=(n, k)].
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    present: Callable[[Dataset, slice], NDArray[np.bool_]]


def effect_classes(datasets: Sequence[Dataset]) -> Classes:
    """Each effect is a class; several choruses are one (`Effect.effect_class`)."""
    return _step_classes(datasets, lambda member, family: class_of(member))


def family_classes(datasets: Sequence[Dataset]) -> Classes:
    """Each family of effects is a class, in the order of IDMT-SMT."""
    return _step_classes(datasets, lambda member, family: family, order=(*FAMILIES, "other", "synth"))


def tag_classes(datasets: Sequence[Dataset]) -> Classes:
    """Each tag is a class. Raises `UsageError` unless all datasets have the same tags."""
    without = [data.name for data in datasets if not data.has(TAGS)]
    if without:
        raise UsageError(f"{', '.join(without)} has no tags: learn effects with --target effect, effects or family.")
    names = [data.names(TAGS) for data in datasets]
    if any(other != names[0] for other in names):
        raise UsageError(
            f"{', '.join(data.name for data in datasets)} have different tags: train on datasets with the same ones."
        )
    return Classes(tuple(names[0]), ("other",) * len(names[0]), lambda data, rows: data.read(TAGS, rows))


def _step_classes(
    datasets: Sequence[Dataset], name_of: Callable[[str, str], str], order: Sequence[str] = ()
) -> Classes:
    """Classes of the steps of chains, named after effect and family."""
    families = {
        name_of(step.member, family): family
        for data in datasets
        for step, family in zip(data.recipe.chain.steps, data.meta["families"], strict=True)
    }
    names = sorted(families, key=order.index) if order else list(families)

    def present(data: Dataset, rows: slice) -> NDArray[np.bool_]:
        used = data.read(ORDER, rows) >= 0
        out = np.zeros((len(used), len(names)), bool)
        for column, (step, family) in enumerate(zip(data.recipe.chain.steps, data.meta["families"], strict=True)):
            out[:, names.index(name_of(step.member, family))] |= used[:, column]
        return out

    return Classes(tuple(names), tuple(families[name] for name in names), present)


def class_of(effect: str) -> str:
    """The class of an effect: several choruses are one class. The class of a synth is its name."""
    if effect not in EFFECTS:
        return effect
    member: Effect = EFFECTS.load(effect)
    return member.effect_class or effect.replace("-", "_")


def family_probabilities(
    probabilities: torch.Tensor, families: Sequence[str], *, multi_label: bool = False
) -> torch.Tensor:
    """Spread a classifier's probabilities [shape=(n, classes)] over the six families of IDMT-SMT [shape=(n, 6)].

    They add up, except where a row may have `multi_label` classes: there the largest of a family counts. A classifier
    with a class outside the six families (an equaliser) conditions with its own classes instead [shape=(n, classes)].
    """
    if not set(families) <= set(FAMILIES):
        return probabilities
    out = probabilities.new_zeros(probabilities.shape[0], len(FAMILIES))
    for column, family in enumerate(families):
        family_index = FAMILIES.index(cast(Family, family))
        if multi_label:
            out[:, family_index] = torch.maximum(out[:, family_index], probabilities[:, column])
        else:
            out[:, family_index] += probabilities[:, column]
    return out
