"""What a run keeps of the rows that it learned from, so that it can be judged on other datasets where these are not at
hand: which sounds it knows, and what they are like.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xxhash
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.files import whole
from timbre_data.pipeline.catalogue.source import COPY
from timbre_data.pipeline.features import FEATURE_SETS
from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store.columns import AUDIO, DRY_GROUP, DRY_HASH, DRY_IDENTITY, DRY_INDEX, ROW_HASH
from timbre_data.schemas.errors import CorruptDataError

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

FILE = "learned.npz"
"""In a run's folder."""
SAMPLE = 256
"""Sounds that are described, at most."""
SECONDS = 3.0
"""The beginning of a sound that is described."""
MOST_BYTES = 500_000_000
"""Keys of sixty million rows; more is damage."""
BLOCK = 64
"""Sounds described at once."""
FURTHEST = 20
"""Features further than so many deviations from the mean count as that far."""
DESCRIPTOR = "autofx163_sound"
"""The feature set that describes sounds: of any kind, with no pitch to be known."""
DESCRIBED = 163
"""Numbers that describe a sound."""


@dataclass(frozen=True)
class Learned:
    """The rows that training has seen (training and validation split): `keys`, sorted hashes of their dry sounds, or
    with a synth of the rows, of the recordings they are pieces of, and of the notes that they vary; `sample`
    [shape=(k, 163)], features of some of their sounds.
    """

    keys: NDArray[np.uint64]
    sample: NDArray[np.float32]

    def knows(self, data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows of a dataset are of sounds that training has seen [shape=(n,)]."""
        return np.asarray(np.isin(keys_of(data, rows), self.keys).any(axis=1))

    @property
    def usable(self) -> NDArray[np.bool_]:
        """The features that differ among the learned sounds [shape=(163,)]."""
        mean, deviation = self.sample.mean(axis=0), self.sample.std(axis=0)
        return np.asarray(deviation > 1e-9 * np.maximum(np.abs(mean), 1e-30))

    def scaled(self, sample: NDArray[np.float32]) -> NDArray[np.float32]:
        """The usable features of sounds, in deviations from the mean of the learned ones, at most 20 [shape=(k, u)]."""
        mean, deviation = self.sample.mean(axis=0), self.sample.std(axis=0)
        scaled = (sample[:, self.usable] - mean[self.usable]) / deviation[self.usable]
        return np.asarray(np.clip(scaled, -FURTHEST, FURTHEST), np.float32)

    def nearest(self, sample: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
        """The distance of each sound to the nearest learned one [shape=(k,)]; without any, of the learned sounds among
        each other.
        """
        known = self.scaled(self.sample).astype(np.float64)
        among = sample is None
        others = known if sample is None else self.scaled(sample).astype(np.float64)
        squares = (others**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * others @ known.T
        if among:
            np.fill_diagonal(squares, np.inf)
        return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0)))

    def save(self, folder: Path) -> None:
        """Write it into a run's folder, whole or not at all."""
        with whole(folder / FILE) as partial, partial.open("wb") as file:
            np.savez_compressed(file, keys=self.keys, sample=self.sample)


def load(folder: Path) -> Learned | None:
    """What a run keeps; None for runs of older versions. Raises `CorruptDataError`."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as content:
            keys, sample = content["keys"].astype(np.uint64), content["sample"].astype(np.float32)
        if keys.ndim != 1 or sample.ndim != 2 or not np.isfinite(sample).all():
            raise ValueError("of another shape")
        return Learned(keys, sample)
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise CorruptDataError(
            f"{path} is damaged ({type(error).__name__}): restore it from a copy, or delete it (then nobody can tell which sounds the run has learned)."
        ) from None


def learned_from(datasets: Sequence[Dataset], rows: Sequence[NDArray[np.int64]], seed: int) -> Learned:
    """What to keep of some rows of each dataset."""
    keys = np.unique(
        np.concatenate([keys_of(data, chosen).ravel() for data, chosen in zip(datasets, rows, strict=True)])
    )
    share = -(-SAMPLE // len(datasets))
    samples = [described(data, some(chosen, share, seed)) for data, chosen in zip(datasets, rows, strict=True)]
    return Learned(keys[keys != 0], np.concatenate(samples))


def some(rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """At most so many rows, at random, in order."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng([seed, count]).choice(rows, count, replace=False))


def keys_of(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """What identifies the sound of each row: its dry sound, or with a synth the row itself; the recording that an
    imported one is a piece of, else 0; and the note of its source, which several dry sounds may vary, else 0
    [shape=(n, 3)].
    """
    index = data.read(DRY_INDEX)[rows].astype(np.int64)
    keys = np.zeros((len(rows), 3), np.uint64)
    keys[:, 0] = data.read(ROW_HASH)[rows] if data.recipe.chain.synth else data.read(DRY_HASH)[index]
    if data.meta.get("kind") == "imported":
        source = data.recipe.source.name  # two collections may have recordings of one name
        groups = [xxhash.xxh3_64_intdigest(f"{source} {name}".encode()) for name in data.read(DRY_GROUP).tolist()]
        keys[:, 1] = np.array(groups, np.uint64)[index]
    elif not data.recipe.chain.synth:
        source = json.dumps(data.recipe.source.model_dump(mode="json"), sort_keys=True)
        names = [str(name) for name in data.read(DRY_IDENTITY).tolist()]
        if data.recipe.vary is not None:
            names = [name.rpartition(COPY)[0] for name in names]
        notes = [xxhash.xxh3_64_intdigest(f"{source} {name}".encode()) for name in names]
        keys[:, 2] = np.array(notes, np.uint64)[index]
    return keys


def described(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features of the sounds of some rows [shape=(n, 163)]; 0 in place of what is not finite."""
    from timbre_data.models.data.rows import mono_sounds  # which opens datasets: `predict` has none

    blocks = [rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK)]
    parts = [description(decode(mono_sounds(data, AUDIO, block)), data.recipe.audio.rate) for block in blocks]
    return np.concatenate(parts) if parts else np.empty((0, DESCRIBED), np.float32)


def description(sounds: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Features of the beginnings of sounds [shape=(n, samples)]: [shape=(n, 163)]; 0 in place of what is not finite."""
    features = FEATURE_SETS.load(DESCRIPTOR)
    beginnings = np.ascontiguousarray(sounds[:, : round(SECONDS * rate)])
    nothing = np.full(len(sounds), np.nan, np.float32)
    values = features.compute(beginnings, rate, nothing, features.settings())
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
