"""Parts of synths that may be exchanged without a change of sound (oscillators), and the knobs that correspond."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from timbre_data.schemas.parameter import Parameter

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

Prefixes = tuple[tuple[str, ...], ...]
"""Groups of parts, each named by what the names of its knobs begin with."""


def interchangeable(datasets: Sequence[Dataset]) -> Prefixes:
    """Groups of knobs of the datasets' synths that may be exchanged without a change of sound, as prefixes of their
    names.
    """
    from timbre_data.pipeline.build.chain import Chain

    groups: dict[tuple[str, ...], None] = {}
    for data in datasets:
        chain = Chain(data.recipe.chain)
        for group in chain.synth.interchangeable if chain.synth else ():
            groups[tuple(f"{chain.step_names[0]}.{prefix}" for prefix in group)] = None
    return tuple(groups)


def columns_of_parts(group: Sequence[str], names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """The columns of each part's knobs, in the same order in each; only of knobs that all parts have."""
    knobs = [{name[len(prefix) :]: i for i, name in enumerate(names) if name.startswith(prefix)} for prefix in group]
    common = [end for end in knobs[0] if all(end in part for part in knobs)]
    return tuple(tuple(part[end] for end in common) for part in knobs) if common and len(knobs) > 1 else ()


def like_parts(
    groups: Prefixes, names: Sequence[str], parameters: Sequence[Parameter]
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """The parts whose knobs are drawn alike, as columns: exchanged, they are as likely as before. Parts of one group
    that are drawn differently (an oscillator that is always on) are no parts of it.
    """
    alike: dict[tuple[int, str], list[tuple[int, ...]]] = {}
    for number, group in enumerate(groups):
        for part in columns_of_parts(group, names):
            drawn = str([parameters[column].model_dump(exclude={"name", "description"}) for column in part])
            alike.setdefault((number, drawn), []).append(part)
    return tuple(tuple(parts) for parts in alike.values() if len(parts) > 1)
