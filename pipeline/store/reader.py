"""Reading a dataset: one snapshot, checked as it is read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import icechunk
import numpy as np
import zarr
from numpy.typing import NDArray

from timbre_data.pipeline.sound.audio import decode
from timbre_data.pipeline.store import layout
from timbre_data.pipeline.store.chunks import read_array
from timbre_data.pipeline.store.columns import (
    AUDIO,
    DRY_AUDIO,
    DRY_INDEX,
    FAILED,
    GAIN,
    PARAMS,
    ROW_HASH,
    SPLIT,
    feature_hash,
)
from timbre_data.pipeline.store.content import content_digest
from timbre_data.pipeline.store.description import check_description
from timbre_data.pipeline.store.location import locate
from timbre_data.pipeline.store.plain import EXPORTED, check_export, open_export
from timbre_data.pipeline.store.repository import (
    exists,
    first_line,
    guard_against_fork,
    nothing_in,
    open_repository,
    snapshot_of,
)
from timbre_data.pipeline.store.writer import meta
from timbre_data.schemas.arrays import Audio
from timbre_data.schemas.errors import CorruptDataError, NotFoundError
from timbre_data.schemas.origin import Origin
from timbre_data.schemas.recipe import Recipe
from timbre_data.schemas.space import ParameterSpace

if TYPE_CHECKING:
    from timbre_data.pipeline.store.torch_data import RowDataset, RowStream


class Dataset:
    """One version of a dataset, or an export of one as plain Zarr; read-only. It pickles (a worker opens it anew) and
    refuses to work in a forked child. `left_out` are feature sets that an export is to leave out.
    """

    def __init__(self, name: str, snapshot: str | None = None) -> None:
        self.location = locate(name)
        self._process = os.getpid()
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self.left_out: tuple[str, ...] = ()
        self._digests: dict[tuple[str, ...], str | None] = {}
        self._made: dict[str, str] | None = None
        self._repo: icechunk.Repository | None = None
        plain = None if exists(self.location) else open_export(self.location)
        if plain is None:
            self._repo = open_repository(self.location)
            self.snapshot = snapshot or snapshot_of(self._repo, self.location.version, self.location.name)
        try:
            self.store = plain or self._repo.readonly_session(snapshot_id=self.snapshot).store  # type: ignore[union-attr]  # one of the two is there
            self.root = zarr.open_group(self.store, mode="r", zarr_format=3, use_consolidated=False)
            self.meta = meta(self.root)
            check_description(self.root, self.location.address)
            if plain is not None:
                check_export(plain, self.meta, self.location.address)
                self.snapshot = self._exported(snapshot)
        except FileNotFoundError as error:
            self.meta = self._nothing_yet(error)
        except (icechunk.IcechunkError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptDataError(f"{self.location.address} cannot be read: {first_line(error)}.") from None
        if "recipe" not in self.meta:
            raise nothing_in(self.location, self._repo)
        if self.meta["format_version"] > layout.FORMAT_VERSION:
            raise CorruptDataError(
                f"{self.location.address} has format {self.meta['format_version']}, newer than this version reads ({layout.FORMAT_VERSION}): update timbre-data."
            )
        try:
            self.recipe = Recipe.model_validate(self.meta["recipe"])
            _ = [Origin.model_validate(origin) for origin in self.meta.get("origins", ())]
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise CorruptDataError(f"{self.location.address}: its recipe is not a valid one ({reason}).") from None
        self.n = int(self.array(PARAMS).shape[0])

    def _nothing_yet(self, error: Exception) -> dict[str, Any]:
        """Tell a dataset that was only begun (no description) from one whose root cannot be read."""
        if self._repo is None:
            raise CorruptDataError(f"{self.location.address} cannot be read: {first_line(error)}.") from None
        try:
            commits = len(list(self._repo.ancestry(snapshot_id=self.snapshot)))
        except icechunk.IcechunkError as worse:
            raise CorruptDataError(f"{self.location.address} cannot be read: {first_line(worse)}.") from None
        if commits > 2:
            raise CorruptDataError(f"{self.location.address} cannot be read: {first_line(error)}.") from None
        return {}

    def _exported(self, snapshot: str | None) -> str:
        """The snapshot of an export: the beginning of its content's digest. Raises `NotFoundError` for another one."""
        about: dict[str, Any] = self.meta.get(EXPORTED, {})
        digest = str(about.get("digest") or "")
        asked = snapshot or self.location.version
        known = (f"v{about.get('version')}", str(about.get("snapshot")))
        if asked and asked not in known and not (len(asked) >= 6 and digest.startswith(asked)):
            raise NotFoundError(
                f"{self.location.address} is an export of {known[0]} (content {digest[:20]}) and has no version '{asked}'."
            )
        return digest[:20]

    @property
    def is_export(self) -> bool:
        """Whether this is an export as plain Zarr, which is not written to."""
        return self._repo is None

    def digest(self) -> str | None:
        """The digest of the content (`content.content_digest`); None for an unfinished dataset."""
        if self.left_out not in self._digests:
            self._digests[self.left_out] = content_digest(self)
        return self._digests[self.left_out]

    def made(self) -> dict[str, str]:
        """Who made the version that this is, and when (`by`, `date`); empty where that is not known."""
        if self._made is None:
            self._made = self._find_maker()
        return dict(self._made)

    def _find_maker(self) -> dict[str, str]:
        if self._repo is None:
            return dict(self.meta.get(EXPORTED, {}).get("made", {}))
        for info in self._repo.ancestry(snapshot_id=self.snapshot):
            if info.metadata.get("version") == self.meta.get("version"):
                return {"by": str(info.metadata.get("by", "")), "date": info.written_at.strftime("%Y-%m-%d")}
        return {}

    def history_problems(self) -> list[str]:
        """Find versions that are lost or damaged: every commit up to this one is opened, and every tag read whole."""
        if self._repo is None:
            promised = self.meta.get(EXPORTED, {}).get("digest")
            return [] if promised == self.digest() else ["its content is not that of the version it was exported from"]
        try:
            commits = list(self._repo.ancestry(snapshot_id=self.snapshot))
            tags = {name: str(self._repo.lookup_tag(name)) for name in sorted(self._repo.list_tags())}
        except icechunk.IcechunkError as error:
            return [f"the history cannot be read: {first_line(error)}"]
        versions = [f"v{info.metadata['version']}" for info in commits if info.metadata.get("version")]
        problems = [f"the tag {name} is lost: repeat the command that made it" for name in versions if name not in tags]
        for info in commits[:-1]:  # the first one is Icechunk's own, without a group
            try:
                session = self._repo.readonly_session(snapshot_id=info.id)
                _ = zarr.open_group(session.store, mode="r").attrs.asdict()
            except (icechunk.IcechunkError, OSError, ValueError, KeyError, TypeError) as error:
                problems.append(f"commit {info.id} ({info.message}): {first_line(error)}")
        for name, snapshot in tags.items():
            try:
                Dataset(self.location.address, snapshot)
            except (CorruptDataError, NotFoundError) as error:
                problems.append(f"version {name}: {error}")
        return problems

    def __reduce__(self) -> tuple[Any, ...]:
        return Dataset, (self.location.address, self.snapshot)

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.location.name

    @property
    def space(self) -> ParameterSpace:
        """The joint parameter space of the chain."""
        return ParameterSpace.model_validate({"parameters": self.parameters})

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """The parameters of the columns of `params`, described."""
        described: Any = self.array(PARAMS).attrs["parameters"]
        return list(described)

    @property
    def version(self) -> str:
        """MAJOR.MINOR.PATCH, or "unfinished" while rows are missing."""
        return str(self.meta.get("version") or "unfinished")

    def has(self, path: str) -> bool:
        """Whether there is such an array."""
        return path in self._arrays or path in self.root

    def feature_sets(self) -> dict[str, dict[str, Any]]:
        """The feature sets and spectrograms that are stored: name -> path, settings, complete."""
        feature_sets_meta = self.meta.get("features", {})
        assert isinstance(feature_sets_meta, dict)
        return feature_sets_meta

    def unfinished_features(self) -> list[str]:
        """The feature sets that some rows lack."""
        present = self.present()
        return [
            name
            for name in self.feature_sets()
            if bool((self.read(feature_hash(name))[: len(present)] == 0)[present].any())
        ]

    def array(self, path: str) -> zarr.Array[Any]:
        """One array by path. Raises `NotFoundError`."""
        if os.getpid() != self._process:
            guard_against_fork()
        if path not in self._arrays:
            try:
                node = self.root[path]
            except KeyError:
                raise NotFoundError(f"{self.location.address} has no array {path}.") from None
            except (icechunk.IcechunkError, OSError, ValueError) as error:
                raise CorruptDataError(
                    f"{self.location.address}: {path} cannot be read: {first_line(error)}."
                ) from None
            assert isinstance(node, zarr.Array)
            self._arrays[path] = node
        return self._arrays[path]

    def names(self, path: str, key: str = "names") -> list[str]:
        """The names of an array's columns."""
        attribute = self.array(path).attrs[key]
        assert isinstance(attribute, list)
        return [str(name) for name in attribute]

    def read(self, path: str, rows: slice | NDArray[np.int64] | int = slice(None)) -> NDArray[Any]:
        """Read rows of one array. Raises `CorruptDataError` naming array and rows where a checksum does not match."""
        return read_array(self.array(path), rows, self.location.address)

    def audio(self, rows: slice | NDArray[np.int64] | int = slice(None), *, original_level: bool = False) -> Audio:
        """Wet sounds as float32 [shape=(n, channels, samples)] in [-1, 1]; `original_level` undoes the stored gain."""
        sound = decode(self.read(AUDIO, rows))
        if original_level:
            sound = sound / np.asarray(self.read(GAIN, rows))[..., None, None]
        return sound

    def dry(self, rows: slice | NDArray[np.int64] | int) -> Audio:
        """The dry sound of each row, as stored: float32 [shape=(n, channels, samples)]."""
        index = np.atleast_1d(self.read(DRY_INDEX, rows)).astype(np.int64)
        unique, back = np.unique(index, return_inverse=True)
        sound = decode(self.read(DRY_AUDIO, unique))[back]
        return sound[0] if isinstance(rows, int) else sound

    @cached_property
    def row_hashes(self) -> NDArray[np.uint64]:
        """The hash of every row, 0 where it is not there yet [shape=(n,)]; read once."""
        return self.read(ROW_HASH)

    def present(self) -> NDArray[np.bool_]:
        """A mask of the rows that are present (committed with their hash) [shape=(n,)]."""
        return self.row_hashes != 0

    def usable(self) -> NDArray[np.int64]:
        """Indices of the rows that are there and did not fail."""
        return np.flatnonzero(self.present() & ~self.read(FAILED))

    def split(self) -> NDArray[np.uint8]:
        """Split by dry sound of each row: 0 train, 1 validation, 2 test [shape=(n,)]."""
        return self.read(SPLIT)

    def complete(self) -> bool:
        """Whether all rows of the recipe are present."""
        return self.n >= self.recipe.n and bool(self.present().all())

    def torch(
        self,
        *,
        split: str | None = None,
        fields: Sequence[str] = ("audio", "params"),
        rows: NDArray[np.int64] | None = None,
        stored_integers: bool = False,
    ) -> RowDataset:
        """A map-style dataset for PyTorch: item k is a tuple of `fields` of the k-th row of a split, as tensors.

        A field is an array (as in the card), a feature set, "dry" or "row". Sounds are float32 in [-1, 1], or with
        `stored_integers` as stored. Works with any number of workers of a `DataLoader`, forked ones too. Raises
        `UsageError` for fields and splits that are not there.
        """
        from timbre_data.pipeline.store.torch_data import RowDataset, rows_of

        return RowDataset(self, fields, rows_of(self, split) if rows is None else rows, stored_integers=stored_integers)

    def torch_stream(
        self,
        *,
        batch_size: int,
        split: str | None = None,
        fields: Sequence[str] = ("audio", "params"),
        rows: NDArray[np.int64] | None = None,
        seed: int = 0,
        epoch: int = 0,
        stored_integers: bool = False,
        drop_last: bool = False,
    ) -> RowStream:
        """An iterable dataset for PyTorch: shuffled batches of `fields` as tensors, read block by block; for
        `DataLoader(..., batch_size=None)`.

        The batches depend on `seed` and `epoch` alone, whatever the number of workers; `load_state_dict` goes on in the
        middle of an epoch.
        """
        from timbre_data.pipeline.store.torch_data import RowStream, rows_of

        return RowStream(
            self,
            fields,
            rows_of(self, split) if rows is None else rows,
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            stored_integers=stored_integers,
            drop_last=drop_last,
        )

    def stream(
        self,
        paths: Sequence[str],
        *,
        batch_size: int,
        rows: NDArray[np.int64],
        seed: int,
        block_rows: int = 256,
        buffer_blocks: int = 16,
    ) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield shuffled batches of `rows` once: whole blocks in random order, mixed in a buffer of `buffer_blocks`
        blocks.

        Reading whole blocks is some forty times faster than single rows; blocks are read ahead in the background.
        """
        from timbre_data.pipeline.store.streaming import shuffled_batches

        yield from shuffled_batches(
            self, paths, batch_size=batch_size, rows=rows, seed=seed, block_rows=block_rows, buffer_blocks=buffer_blocks
        )


def open_if_there(address: str) -> Dataset | None:
    """Open a dataset, or return None where there is none yet."""
    try:
        return Dataset(address)
    except NotFoundError:
        return None
