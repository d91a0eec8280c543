"""What two datasets, or two versions of one, have in common: recipe, code, parameters, rows and features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import (
    AUDIO,
    AUDIO_CHUNK,
    DRY_INDEX,
    FAILED,
    GAIN,
    MASK,
    ORIGIN_ROW,
    PARAMS,
    ROW_HASH,
    feature_hash,
)
from timbre_data.pipeline.store.reader import Dataset

DISTRIBUTION_ROWS = 100_000
"""Rows at most, of each dataset, whose parameters are compared as distributions."""
_NO_LABEL = (AUDIO, GAIN, FAILED, DRY_INDEX)


@dataclass
class Difference:
    """How two datasets differ. `same` says whether their content is the same; recipe and provenance may differ then.

    `recipe` and `provenance` map a dotted field to its two values; `parameters` a name to what is different about
    it, or to its `distance`: the 1-Wasserstein distance of the normalized values, a share of the range. Rows are
    compared by number, those of selected and merged datasets by hash; `other_labels` and `other_sounds` list those
    that differ, `sounds_db` how much at most (full scale: 0 dB).
    """

    first: str
    second: str
    same: bool = False
    recipe: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    provenance: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    rows: tuple[int, int] = (0, 0)
    equal_rows: int = 0
    other_labels: list[int] = field(default_factory=list)
    other_sounds: list[int] = field(default_factory=list)
    sounds_db: float | None = None
    missing: tuple[int, int] = (0, 0)
    features: dict[str, str] = field(default_factory=dict)


def compare(first: Dataset, second: Dataset) -> Difference:
    """Compare two datasets row by row; only chunks with different rows are read."""
    result = Difference(_name(first), _name(second), rows=(first.n, second.n))
    one, other = (flattened(data.recipe.model_dump(mode="json")) for data in (first, second))
    result.recipe = _changes(one, other)
    one, other = (flattened(data.meta["provenance"]) for data in (first, second))
    result.provenance = _changes(one, other)
    result.parameters = _parameters(first, second)
    pairs = _pairs(first, second)
    _compare_rows(first, second, pairs, result)
    result.features = _features(first, second, pairs)
    digests = first.digest(), second.digest()
    result.same = digests[0] is not None and digests[0] == digests[1]
    return result


def equal_rows(first: Dataset, second: Dataset) -> int:
    """The number of rows that are there in both and equal, sounds, labels and all."""
    return int(_equal(first.read(ROW_HASH), second.read(ROW_HASH)).sum())


def _equal(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which rows are there in both and equal, by their hashes, as far as both go."""
    common = min(len(one), len(other))
    return (one[:common] == other[:common]) & (one[:common] != 0)


def flattened(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    if isinstance(node, dict):
        return {
            key: value for name, inner in node.items() for key, value in flattened(inner, f"{prefix}{name}.").items()
        }
    if isinstance(node, list):
        return {key: value for i, inner in enumerate(node) for key, value in flattened(inner, f"{prefix}{i}.").items()}
    return {prefix.rstrip("."): node}


def _name(data: Dataset) -> str:
    return (
        f"{data.location.address}@v{data.version}"
        if data.meta.get("version")
        else f"{data.location.address} (unfinished)"
    )


def _changes(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: (one.get(key), other.get(key)) for key in one | other if one.get(key) != other.get(key)}


def _parameters(first: Dataset, second: Dataset) -> dict[str, Any]:
    from scipy.stats import wasserstein_distance

    found: dict[str, Any] = {}
    spaces = [{parameter["name"]: parameter for parameter in data.parameters} for data in (first, second)]
    tables = [_drawn(data) for data in (first, second)]
    for name in spaces[0] | spaces[1]:
        if name not in spaces[0] or name not in spaces[1]:
            found[name] = {"only_in": first.name if name in spaces[0] else second.name}
            continue
        changed = _changes(flattened(spaces[0][name]), flattened(spaces[1][name]))
        changed = {key: values for key, values in changed.items() if key != "description"}
        values = [tables[k].get(name, np.empty(0)) for k in (0, 1)]
        distance = float(wasserstein_distance(*values)) if all(map(len, values)) else None
        found[name] = {"distance": distance} | ({"described": changed} if changed else {})
    return found


def _drawn(data: Dataset) -> dict[str, NDArray[Any]]:
    """The normalized values of each parameter where it applies."""
    usable = data.usable()[:DISTRIBUTION_ROWS]
    params, mask = data.read(PARAMS, usable), data.read(MASK, usable)
    return {name: params[mask[:, i], i] for i, name in enumerate(data.space.names)}


Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def _pairs(first: Dataset, second: Dataset) -> Pairs:
    """The rows that are compared with each other, by their numbers in both: those of one number, or where one of the
    datasets was selected or merged, those of one hash, for rows keep it.
    """
    if first.has(ORIGIN_ROW) or second.has(ORIGIN_ROW):
        hashes = first.read(ROW_HASH), second.read(ROW_HASH)
        _, here, there = np.intersect1d(*hashes, return_indices=True)
        known = hashes[0][here] != 0
        return np.sort(here[known]), there[known][np.argsort(here[known])]
    common = np.arange(min(first.n, second.n))
    return common, common


def _compare_rows(first: Dataset, second: Dataset, pairs: Pairs, result: Difference) -> None:
    here, there = pairs
    one, other = first.read(ROW_HASH), second.read(ROW_HASH)
    result.missing = int((one == 0).sum()), int((other == 0).sum())
    one, other = one[here], other[there]
    equal_here = _equal(one, other)
    result.equal_rows = int(equal_here.sum())
    different = np.flatnonzero((one != 0) & (other != 0) & ~equal_here)
    labels = [path for path in _row_arrays(first) if path in _row_arrays(second) and path not in _NO_LABEL]
    comparable = first.array(AUDIO).shape[1:] == second.array(AUDIO).shape[1:]
    largest = 0.0
    for start in range(0, len(different), AUDIO_CHUNK):
        block = different[start : start + AUDIO_CHUNK]
        numbers = here[block]
        differ = np.zeros(len(block), bool)
        for path in labels:
            a, b = first.read(path, numbers), second.read(path, there[block])
            if a.shape != b.shape:
                differ[:] = True
                continue
            equal = (a == b) | ((a != a) & (b != b)) if a.dtype.kind == "f" else a == b  # NaN equals NaN
            differ |= ~equal.reshape(len(block), -1).all(axis=1)
        result.other_labels += numbers[differ].tolist()
        if not comparable:
            result.other_sounds += numbers.tolist()
            continue
        sounds = decode(first.read(AUDIO, numbers)), decode(second.read(AUDIO, there[block]))
        apart = np.abs(sounds[0] - sounds[1]).max(axis=(1, 2))
        result.other_sounds += numbers[apart > 0].tolist()
        largest = max(largest, float(apart.max(initial=0.0)))
    result.sounds_db = float(20 * np.log10(largest)) if largest else None


def _row_arrays(data: Dataset) -> list[str]:
    """Labels and numbers of every row: neither features nor hashes nor dry sounds."""
    outside = ("features/", "spectrograms/", "integrity/", "dry/", "origin/")
    return [
        path
        for path, node in data.root.members(max_depth=None)
        if isinstance(node, zarr.Array) and not path.startswith(outside)
    ]


def _features(first: Dataset, second: Dataset, pairs: Pairs) -> dict[str, str]:
    sets = first.feature_sets(), second.feature_sets()
    found = {}
    here, there = pairs
    for name in sets[0] | sets[1]:
        if name not in sets[0] or name not in sets[1]:
            found[name] = f"only in {first.name if name in sets[0] else second.name}"
        elif sets[0][name]["settings"] != sets[1][name]["settings"]:
            found[name] = "made with other settings"
        else:
            one, other = first.read(feature_hash(name))[here], second.read(feature_hash(name))[there]
            differ = int((one != other).sum())
            found[name] = f"{differ} rows differ" if differ else "equal"
    return found
