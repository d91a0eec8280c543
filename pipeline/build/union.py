"""The description of a dataset that is put together from rows of others: recipe, parameters, steps, labels, features.

Columns, steps and tags are those of all; what has one name must mean one thing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.columns import (
    CLIP,
    FRAMES,
    RESPONSE,
    TAGS,
    VARIATION,
    feature_hash,
)
from timbre_data.pipeline.store.comparing import flattened
from timbre_data.pipeline.store.description import dimension_names
from timbre_data.pipeline.store.origins import origins_of
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.origin import Origin
from timbre_data.schemas.recipe import NAME, ChainSpec, Recipe, Step

SAME_AUDIO = ("rate", "channels", "seconds", "dtype", "peak")
"""Fields of the audio format that rows of one dataset share."""
SEVERAL = "several"
"""Name of the source of a dataset whose rows come from several."""


@dataclass(frozen=True)
class Union:
    """What several datasets are together. `origins` are the datasets of all rows, `origin_numbers` the places there of
    those of each source.
    """

    recipe: Recipe
    families: list[str]
    extra_labels: list[str]
    features: dict[str, dict[str, Any]]
    left_features: list[str]
    origins: list[Origin]
    origin_numbers: list[NDArray[np.int64]]
    specs: list[layout.ArraySpec]


def union_of(sources: Sequence[Dataset], name: str, rows: int, description: str) -> Union:
    """Describe `rows` rows of several datasets as one. Raises `UsageError` where one name means two things."""
    _refuse_other_audio(sources)
    steps, families = _steps(sources)
    parameters = _parameters(sources)
    labels = [path for data in sources for path in data.meta.get("extra_labels", ())]
    extra_labels = list(dict.fromkeys(labels))
    tags = list(dict.fromkeys(tag for data in sources if data.has(TAGS) for tag in data.names(TAGS)))
    features, left = _features(sources)
    recipe = _recipe(sources, steps, name, rows, description, list(features))
    specs = layout.specs(
        recipe,
        parameters,
        tuple(step.label for step in steps),
        tuple(tags),
        clips=CLIP in extra_labels,
        frame_classes=_frame_classes(sources),
        responses=RESPONSE in extra_labels,
        variation=_variation(sources),
    )
    there = {spec.path for spec in specs}
    specs += [_spec(_first_with(sources, path), path) for path in extra_labels if path not in there]
    for name_, about in features.items():
        specs += [_spec(sources[0], about["path"]), _spec(sources[0], feature_hash(name_))]
    origins: list[Origin] = []
    numbers = []
    for data in sources:
        own = origins_of(data)
        origins += [one for one in own if one not in origins]
        numbers.append(np.array([origins.index(one) for one in own], np.int64))
    return Union(
        recipe=recipe,
        families=families,
        extra_labels=extra_labels,
        features=features,
        left_features=left,
        origins=origins,
        origin_numbers=numbers,
        specs=specs,
    )


def _first_with(sources: Sequence[Dataset], path: str) -> Dataset:
    return next(data for data in sources if data.has(path))


def _spec(data: Dataset, path: str) -> layout.ArraySpec:
    """The specification of an array as it is in a dataset."""
    array: zarr.Array[Any] = data.array(path)
    dtype = "str" if array.dtype.kind in "OTU" else str(array.dtype)
    axes = (dimension_names(array) or ())[1:]
    return layout.ArraySpec(
        path, array.shape[1:], dtype, array.chunks[0], attributes=array.attrs.asdict(), axes=tuple(map(str, axes))
    )


def _refuse_other_audio(sources: Sequence[Dataset]) -> None:
    first = sources[0]
    for data in sources[1:]:
        for field in SAME_AUDIO:
            one, other = (getattr(each.recipe.audio, field) for each in (first, data))
            if one != other:
                raise UsageError(
                    f"{first.name} and {data.name} have different sounds (audio.{field} {one} and {other}): only datasets of one format can be merged; render one of them again with --set audio.{field}={one}."
                )


def _differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    """In which fields two descriptions differ; descriptions in words do not count."""
    a, b = flattened(one), flattened(other)
    keys = [key for key in a | b if a.get(key) != b.get(key) and not key.endswith("description")]
    return ", ".join(f"{key} {a.get(key)} and {b.get(key)}" for key in keys[:3])


def _parameters(sources: Sequence[Dataset]) -> list[dict[str, Any]]:
    found: dict[str, tuple[Dataset, dict[str, Any]]] = {}
    for data in sources:
        for parameter in data.parameters:
            first, before = found.setdefault(parameter["name"], (data, parameter))
            if differences := _differences(before, parameter):
                raise UsageError(
                    f"{parameter['name']} means or was drawn differently in {first.name} and {data.name} ({differences}): such rows cannot be told apart in one dataset. Train on both with --data {first.name},{data.name} instead."
                )
    return [parameter for _, parameter in found.values()]


def _steps(sources: Sequence[Dataset]) -> tuple[list[Step], list[str]]:
    found: dict[str, tuple[Dataset, Step, str]] = {}
    chains = [data.recipe.chain for data in sources]
    if any(chain.synth for chain in chains) and any(
        _differences(chains[0].model_dump(mode="json"), chain.model_dump(mode="json")) for chain in chains
    ):
        raise UsageError(
            f"{', '.join(data.name for data in sources)} were played by different synths or chains, whose parameters cannot stand in one dataset: train on them one by one."
        )
    for data in sources:
        for step, family in zip(data.recipe.chain.steps, data.meta["families"], strict=True):
            first, before, _ = found.setdefault(step.label, (data, step, family))
            if (before.member, before.settings) != (step.member, step.settings):
                raise UsageError(
                    f"{step.label} is {before.member} in {first.name} and {step.member} in {data.name}, or has other settings there: rows of both cannot be told apart in one dataset."
                )
    return [step for _, step, _ in found.values()], [family for _, _, family in found.values()]


def _chain(sources: Sequence[Dataset], steps: list[Step]) -> ChainSpec:
    """A chain that describes all rows; it is that of the sources where they have the same one."""
    chains = [data.recipe.chain for data in sources]
    if all(chain == chains[0] for chain in chains):
        return chains[0]
    counts = [
        chain.choose or (sum(step.probability == 1 for step in chain.steps), len(chain.steps)) for chain in chains
    ]
    return ChainSpec(
        steps=tuple(step.model_copy(update={"probability": 1.0}) for step in steps),
        choose=(min(low for low, _ in counts), max(high for _, high in counts)),
        shuffle=any(chain.shuffle for chain in chains),
    )


def _recipe(
    sources: Sequence[Dataset], steps: list[Step], name: str, rows: int, description: str, features: list[str]
) -> Recipe:
    recipes = [data.recipe for data in sources]
    first = recipes[0]
    source: Any = first.source
    if any(recipe.source != source for recipe in recipes):
        source = {"name": SEVERAL, "sources": [recipe.source.model_dump(mode="json") for recipe in recipes]}
    licences = list(dict.fromkeys(recipe.licence for recipe in recipes))
    fields = first.model_dump(mode="json") | {
        "name": name if re.match(NAME, name) else first.name,
        "description": description,
        "licence": "" if "" in licences else " AND ".join(licences),
        "citation": "; ".join(dict.fromkeys(recipe.citation for recipe in recipes if recipe.citation)),
        "claim": None,
        "source": source if isinstance(source, dict) else source.model_dump(mode="json"),
        "chain": _chain(sources, steps).model_dump(mode="json"),
        "vary": first.model_dump(mode="json")["vary"] if all(one.vary == first.vary for one in recipes) else None,
        "n": rows,
        "features": features,
    }
    return Recipe.model_validate(fields)


def _frame_classes(sources: Sequence[Dataset]) -> tuple[str, ...]:
    classes = [(data, tuple(data.names(FRAMES))) for data in sources if data.has(FRAMES)]
    for data, names in classes:
        if names != classes[0][1]:
            raise UsageError(f"{classes[0][0].name} and {data.name} label frames with different classes.")
    return classes[0][1] if classes else ()


def _variation(sources: Sequence[Dataset]) -> list[dict[str, Any]]:
    """The parameters of what varied the dry sounds; none where nothing did. Raises `UsageError` where they differ."""
    varied: list[tuple[Dataset, Any]] = [
        (data, data.array(VARIATION).attrs["parameters"]) for data in sources if data.has(VARIATION)
    ]
    for data, parameters in varied:
        if parameters != varied[0][1]:
            raise UsageError(
                f"{varied[0][0].name} and {data.name} vary their dry sounds differently, which one dataset cannot hold: train on both with --data {varied[0][0].name},{data.name} instead."
            )
    return varied[0][1] if varied else []


def _features(sources: Sequence[Dataset]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The feature sets that all rows of all sources have, made with the same settings, and the names of the others."""
    sets = [data.feature_sets() for data in sources]
    names = list(dict.fromkeys(name for one in sets for name in one))
    unfinished = {name for data in sources for name in data.unfinished_features()}
    common = {
        name: sets[0][name]
        for name in names
        if name not in unfinished and all(one.get(name) == sets[0].get(name) for one in sets)
    }
    return common, [name for name in names if name not in common]
