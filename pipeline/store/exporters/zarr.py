"""Plain Zarr v3, as stored: what zarr, xarray and `Dataset` open."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from timbre_data.pipeline.catalogue.exporter import Exporter, FileSet, Snippet
from timbre_data.pipeline.store.chunks import is_whole
from timbre_data.pipeline.store.columns import feature_hash
from timbre_data.pipeline.store.content import content_digest
from timbre_data.pipeline.store.description import store_digest
from timbre_data.pipeline.store.exporters._records import THREADS
from timbre_data.pipeline.store.location import EXPORT
from timbre_data.pipeline.store.origins import ORIGINS
from timbre_data.pipeline.store.plain import EXPORTED
from timbre_data.pipeline.store.privacy import without_private_paths
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.writer import set_meta
from timbre_data.schemas.errors import CorruptDataError


def _refuse_damage(data: Dataset) -> Callable[[str, bytes], None]:
    """A check of chunks against the checksum that they end with."""
    import zarr
    from zarr.codecs import Crc32cCodec

    checked = {
        path
        for path, node in data.root.members(max_depth=None)
        if isinstance(node, zarr.Array) and isinstance(getattr(node.metadata, "codecs", (None,))[-1], Crc32cCodec)
    }

    def check(key: str, chunk: bytes) -> None:
        if key.rpartition("/c/")[0] in checked and not is_whole(chunk):
            raise CorruptDataError(
                f"{data.location.address}: {key} is damaged. See timbre-data dataset verify {data.name}."
            )

    return check


def _write(data: Dataset, folder: Path) -> dict[str, str]:
    """Copy every key as it is, chunks with their checksum compared: they are not decoded."""
    import zarr
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    async def keys() -> list[str]:
        return [key async for key in data.store.list()]

    left_out = [data.feature_sets()[name]["path"] for name in data.left_out]
    left_out += [feature_hash(name) for name in data.left_out]
    group, check = folder / EXPORT, _refuse_damage(data)
    wanted = [key for key in sync(keys()) if not any(key.startswith(f"{path}/") for path in left_out)]
    for parent in sorted({key.rpartition("/")[0] for key in wanted}):
        (group / parent).mkdir(parents=True, exist_ok=True)

    def copy(key: str) -> tuple[str, str]:
        value = sync(data.store.get(key, default_buffer_prototype()))
        if value is None:
            raise CorruptDataError(
                f"{data.location.address}: {key} cannot be read. See timbre-data dataset verify {data.name}."
            )
        content = value.to_bytes()
        check(key, content)
        with open(group / key, "wb", buffering=0) as file:
            file.write(content)
        return f"{EXPORT}/{key}", hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            digests = dict(pool.map(copy, wanted))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    count = len(wanted)
    root = zarr.open_group(group, mode="r+", use_consolidated=False)
    about = {"version": data.version, "snapshot": data.snapshot, "made": data.made(), "objects": count}
    features = {name: about for name, about in data.feature_sets().items() if name not in data.left_out}
    private = {key: without_private_paths(data.meta[key]) for key in ("recipe", ORIGINS) if key in data.meta}
    set_meta(root, features=features, exported=about, **private)
    store_digest(root)
    set_meta(root, **{EXPORTED: about | {"digest": content_digest(Dataset(str(group)))}})
    store_digest(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Zarr's, that format 3 does not specify it yet: xarray asks for it
        zarr.consolidate_metadata(group)
    digests.pop(f"{EXPORT}/zarr.json")  # which was changed since
    return digests


def _count_rows(folder: Path) -> int:
    import zarr

    return int(zarr.open_group(folder / EXPORT, mode="r")["params"].shape[0])  # type: ignore[union-attr]  # an array


EXPORTER = Exporter(
    summary="Plain Zarr v3: the stored chunks, for zarr, xarray and timbre-data itself.",
    write=_write,
    count_rows=_count_rows,
    files=(FileSet("arrays", "data.zarr/**", "application/vnd.zarr"),),
    snippets=(
        Snippet(
            "timbre-data",
            """from timbre_data.api import Dataset

data = Dataset(".")
sounds, labels = data.audio(slice(0, 16)), data.space.to_values(data.read("params", slice(0, 16)))""",
        ),
        Snippet(
            "PyTorch",
            """import torch
from timbre_data.api import Dataset

rows = Dataset(".").torch(split="train", fields=["audio", "params"])
sounds, params = next(iter(torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True)))""",
        ),
        Snippet(
            "xarray",
            """import xarray as xr

rows = xr.open_zarr("data.zarr", chunks=None)
everything = xr.open_datatree("data.zarr", engine="zarr", chunks=None)
training = rows.audio[rows.split.values == 0][:16]""",
        ),
        Snippet(
            "zarr",
            """import zarr

group = zarr.open_group("data.zarr", mode="r")
sounds, names = group["audio"][:16], group["params"].attrs["names"]""",
        ),
        Snippet(
            "dask",
            """import dask.array as da

loudest = abs(da.from_zarr("data.zarr", component="audio").astype(float)).max(axis=(1, 2))[:16].compute()""",
        ),
    ),
)
