"""From stores to tables: features, labels, masks and splits of one or several datasets, joined by parameter name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbre_data.models.data.classes import Classes, effect_classes
from timbre_data.models.data.exchangeable import Prefixes, interchangeable
from timbre_data.models.data.splitting import check_held_out, split_of
from timbre_data.models.data.wet_and_dry import WetAndDry, check_dry, of_dry
from timbre_data.pipeline.catalogue.seeding import share
from timbre_data.pipeline.sound.audio import mixed
from timbre_data.pipeline.store.columns import (
    AUDIO,
    CLIP,
    DRY_AUDIO,
    DRY_GROUP,
    DRY_IDENTITY,
    DRY_INDEX,
    EFFECT_DB,
    IDENTIFIABLE,
    MASK,
    PARAMS,
    feature_hash,
)
from timbre_data.schemas.errors import UsageError
from timbre_data.schemas.parameter import Parameter

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

INAUDIBLE_DB = -60.0
"""An effect that changes less than this cannot be heard."""


@dataclass(frozen=True)
class Rows:
    """Rows of several datasets, side by side.

    `features` [shape=(n, d)]; `labels` and `mask` [shape=(n, p)]: normalized parameters over the union of all datasets,
    and which apply to the row; `identifiable` [shape=(n, p)]: those that can be heard; `classes` [shape=(n,)] into
    `class_names`; `present` [shape=(n, k)] which classes a row has (several in a chain), where `classes` is -1 unless
    it has just one; `split` [shape=(n,)]; `dataset` and `row` [shape=(n,)]: where it comes from; `group` [shape=(n,)]:
    what splits keep together; `clip` [shape=(n,)] equal for the pieces of one recording (of one dry sound); `audio`
    [shape=(n, samples)] the sounds as stored, mixed to mono, where asked for, or the output of a front end (an array,
    `WetAndDry` or `windows.Windows`); `parameters` and `effects` describe the columns of `labels`,
    `interchangeable` which may be exchanged.
    """

    features: NDArray[np.float32]
    feature_names: tuple[str, ...]
    labels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    identifiable: NDArray[np.bool_]
    parameter_names: tuple[str, ...]
    classes: NDArray[np.int64]
    class_names: tuple[str, ...]
    class_families: tuple[str, ...]
    present: NDArray[np.bool_]
    effect_db: NDArray[np.float32]
    split: NDArray[np.uint8]
    dataset: NDArray[np.int64]
    row: NDArray[np.int64]
    group: NDArray[np.object_]
    clip: NDArray[np.int64]
    parameters: tuple[dict[str, Any], ...]
    effects: tuple[str, ...]
    feature_settings: dict[str, Any]
    rate: int
    samples: int
    interchangeable: Prefixes = ()
    audio: Any = None

    def sounds(self, row_indices: NDArray[np.int64]) -> Any:
        """The sounds of some rows, or their windows, as `Trained.predict` takes them; None where there are none."""
        if self.audio is None:
            return None
        if isinstance(self.audio, np.ndarray):
            return torch.from_numpy(self.audio[row_indices])
        there = self.audio.at(row_indices)
        return there[:] if isinstance(there, WetAndDry) else there

    def where(self, split: int) -> NDArray[np.int64]:
        """Indices of the rows of one split: 0 train, 1 validation, 2 test."""
        return np.flatnonzero(self.split == split)

    def one_effect_each(self, row_indices: NDArray[np.int64]) -> bool:
        """Whether none of these rows has a chain of effects."""
        return bool((self.present[row_indices].sum(axis=1) <= 1).all())

    def take(self, row_mask: NDArray[np.bool_]) -> Rows:
        """Only some of the rows: every field that has one entry a row."""
        count = len(self.row)
        taken: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray) and len(value) == count:
                taken[field.name] = value[row_mask]
        if self.audio is not None and not isinstance(self.audio, np.ndarray):
            taken["audio"] = self.audio.at(np.flatnonzero(row_mask))
        return replace(self, **taken)

    def leaking_groups(self) -> set[str]:
        """Dry sounds with rows both in train or validation and in test."""
        return set(self.group[self.split < 2]) & set(self.group[self.split == 2])


def contents_of(datasets: Sequence[Dataset], features: Sequence[str]) -> list[str]:
    """A digest of the rows and features in use of each dataset: commits that add something else leave it as it is."""
    digests = []
    for data in datasets:
        digest = hashlib.sha256()
        for path in (f"integrity/{what}" for what in ("rows", "dry", *features)):
            if data.has(path):
                digest.update(path.encode() + np.asarray(data.read(path)).tobytes())
        digests.append(digest.hexdigest())
    return digests


def load_rows(
    datasets: Sequence[Dataset],
    features: Sequence[str],
    split: str,
    limit: int | None = None,
    *,
    classes: Callable[[Sequence[Dataset]], Classes] | None = None,
    audio: bool = False,
    frontend: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    needed: Sequence[int] | None = None,
    hold_out: Sequence[str] = (),
    known_dry: bool = False,
) -> Rows:
    """Read the tables of several datasets into memory, and with `audio` their sounds, or what `frontend` makes of some
    [shape=(k, samples)], with `known_dry` of the dry sounds, too; with `needed`, of rows of these splits only (others
    are NaN). With `hold_out`, the test
    split is what fits its patterns (`splitting.split_of`).

    `classes` says which classes there are; by default each effect is one. Raises `UsageError` where features are
    missing or rows are not labelled alike.
    """
    check_held_out(datasets, hold_out)
    parameters = learned_parameters(datasets)
    names = list(parameters)
    chosen_classes = (classes or effect_classes)(datasets)
    if (
        audio
        and len({(data.recipe.audio.rate, data.recipe.audio.samples, data.recipe.audio.dtype) for data in datasets}) > 1
    ):
        raise UsageError(
            "these datasets have sounds of different rates, lengths or types: a network that takes sounds needs one."
        )
    if known_dry:
        check_dry(datasets)
    parts: list[dict[str, NDArray[Any]]] = []
    dry_sounds: list[NDArray[Any]] = []
    for number, data in enumerate(datasets):
        usable = some_rows(data, limit)
        stop = int(usable[-1]) + 1 if len(usable) else 0
        missing = [name for name in features if name not in data.feature_sets()]
        if missing:
            raise UsageError(
                f"{data.name} has no {', '.join(missing)}: run timbre-data featurize {data.name} --features {','.join(missing)}."
            )
        rows = slice(0, stop)
        learned_columns = [i for i, name in enumerate(data.space.names) if name in names]
        positions = [names.index(data.space.names[i]) for i in learned_columns]
        index = data.read(DRY_INDEX, rows).astype(np.int64)[usable]
        groups = data.read(DRY_GROUP)
        part: dict[str, NDArray[Any]] = {
            "features": np.concatenate(
                [np.empty((len(usable), 0), np.float32), *(_features(data, name, usable, stop) for name in features)],
                axis=1,
            ),
            "effect_db": data.read(EFFECT_DB, rows)[usable],
            "split": split_of(data, number, usable, split, hold_out),
            "present": chosen_classes.present(data, rows)[usable],
            "clip": number * 2**32 + clip_numbers(data, rows, usable, index),
            "dataset": np.full(len(usable), number),
            "row": usable,
            "group": np.array([f"{data.name} row {row}" for row in usable.tolist()], object)
            if data.recipe.chain.synth
            else np.asarray(groups, dtype=object)[index],
        }
        for key, path, dtype in (
            ("labels", PARAMS, np.float32),
            ("mask", MASK, bool),
            ("identifiable", IDENTIFIABLE, bool),
        ):
            wide = np.zeros((len(usable), len(names)), dtype)
            wide[:, positions] = data.read(path, rows)[usable][:, learned_columns]
            part[key] = wide
        wanted = np.ones(len(usable), bool) if needed is None else np.isin(part["split"], needed)
        if audio:
            part["audio"] = mono_sounds(data, AUDIO, usable, frontend, wanted)
        if known_dry:
            played, part["dry"] = np.unique(index, return_inverse=True)
            part["dry"] += sum(map(len, dry_sounds))
            heard = np.isin(played, index[wanted])
            dry_sounds.append(mono_sounds(data, DRY_AUDIO, played, of_dry(frontend), heard))
        parts.append(part)
    joined: dict[str, Any] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    if known_dry:
        together = (joined["audio"], np.concatenate(dry_sounds), joined.pop("dry"))
        joined["audio"] = WetAndDry(*map(torch.from_numpy, together))
    unknown = joined["features"].shape[0] - int(np.isfinite(joined["features"]).all(axis=1).sum())
    if unknown:
        raise UsageError(
            f"{unknown} rows have features that are not finite: look at them with timbre-data dataset verify."
        )
    feature_names = tuple(
        name for feature in features for name in datasets[0].names(datasets[0].feature_sets()[feature]["path"])
    )
    return Rows(
        **joined,
        classes=np.where(joined["present"].sum(axis=1) == 1, joined["present"].argmax(axis=1), -1),
        feature_names=feature_names,
        parameter_names=tuple(names),
        class_names=chosen_classes.names,
        class_families=chosen_classes.families,
        parameters=tuple(described for described, _ in parameters.values()),
        effects=tuple(effect for _, effect in parameters.values()),
        feature_settings=_settings(datasets, features),
        rate=datasets[0].recipe.audio.rate,
        samples=datasets[0].recipe.audio.samples,
        interchangeable=interchangeable(datasets),
    )


def learned_parameters(datasets: Sequence[Dataset]) -> dict[str, tuple[dict[str, Any], str]]:
    """The parameters of some datasets that there is something to learn of: description and effect, by name."""
    return {
        described["name"]: (described, _effect_of(data, described["name"]))
        for data in datasets
        for described in data.parameters
        if not _constant(data, described)
    }


def some_rows(data: Dataset, limit: int | None) -> NDArray[np.int64]:
    """The usable rows, `limit` at most: the first of a rendered dataset; of an imported one, whose neighbours are
    alike, whole recordings from everywhere.
    """
    usable = data.usable()
    if limit is None or limit >= len(usable) or data.meta["kind"] != "imported":
        return usable[:limit]
    index = data.read(DRY_INDEX)[usable]
    names = data.read(DRY_IDENTITY)
    origins, counts = np.unique(index, return_counts=True)
    order = np.argsort([share(str(names[origin]), 0) for origin in origins])
    before = np.cumsum(counts[order]) - counts[order]
    return usable[np.isin(index, origins[order[before < limit]])][:limit]


def clip_numbers(data: Dataset, rows: slice, usable: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each row's clip: the one it is told to be a piece of, else its dry sound."""
    if not data.has(CLIP):
        return index
    return np.unique(data.read(CLIP, rows)[usable].astype(object), return_inverse=True)[1].astype(np.int64)


def _effect_of(data: Dataset, parameter: str) -> str:
    """The effect that a column named `step.parameter` belongs to."""
    step = next(step for step in data.recipe.chain.steps if step.label == parameter.partition(".")[0])
    return step.effect or step.label


def _constant(data: Dataset, described: dict[str, Any]) -> bool:
    """Whether a knob of a synth never moves in a dataset: there is nothing to learn."""
    drawn = Parameter.model_validate(described).quantile(np.linspace(0, 0.9999, 257))
    return data.recipe.chain.synth is not None and bool(np.ptp(drawn) == 0)


def _settings(datasets: Sequence[Dataset], features: Sequence[str]) -> dict[str, Any]:
    """With which settings each feature set was made: the same in all datasets."""
    stored_settings = {feature: datasets[0].feature_sets()[feature]["settings"] for feature in features}
    for data in datasets[1:]:
        for feature, settings in stored_settings.items():
            if data.feature_sets()[feature]["settings"] != settings:
                raise UsageError(f"{feature} was made with other settings in {data.name} than in {datasets[0].name}.")
    return stored_settings


def mono_sounds(
    data: Dataset,
    path: str,
    rows: NDArray[np.int64],
    frontend: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    needed: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Sounds of an array as stored, in the order of their `rows`, mixed to one channel [shape=(n, samples)], or the
    output of `frontend`; never all sounds at once if that is less. With `frontend`, rows that are not `needed`
    [shape=(n,)] are NaN.
    """
    out = np.empty(0)
    for first in range(0, int(rows.max(initial=-1)) + 1, 1024):
        low, high = np.searchsorted(rows, (first, first + 1024))
        if low == high:
            continue
        here = rows[low:high] - rows[low]
        block = data.read(path, slice(int(rows[low]), int(rows[high - 1]) + 1))
        mono = mixed(block if len(block) == len(here) else block[here])
        if frontend is None:
            chosen, part = np.arange(low, high), mono
        else:
            wanted = np.ones(high - low, bool) if needed is None else needed[low:high]
            chosen = low + np.flatnonzero(wanted)
            part = frontend(mono[wanted] if wanted.any() else mono[:1])[: len(chosen)]
        if not low:
            out = np.full((len(rows), *part.shape[1:]), 0 if frontend is None else np.nan, part.dtype)
        out[chosen] = part
    return out


def _features(data: Dataset, name: str, usable: NDArray[np.int64], stop: int) -> NDArray[np.float32]:
    path = data.feature_sets()[name]["path"]
    if not path.startswith("features/"):
        raise UsageError(
            f"{name} is a spectrogram; this model takes feature vectors such as autofx163 (autofx makes its own spectrograms from the sounds)."
        )
    there = data.read(feature_hash(name), slice(0, stop))[usable]
    if not (there != 0).all():
        raise UsageError(
            f"{int((there == 0).sum())} rows of {data.name} lack {name}: run timbre-data featurize {data.name} --features {name}."
        )
    return np.asarray(data.read(path, slice(0, stop))[usable], np.float32)
