"""Plain Zarr v3, as stored: what any Zarr reader opens."""

from __future__ import annotations

from pathlib import Path

from timbre_data.pipeline.catalogue.exporter import Exporter
from timbre_data.pipeline.store.columns import feature_hash
from timbre_data.pipeline.store.description import store_digest
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.writer import set_meta
from timbre_data.schemas.errors import CorruptDataError


def _write(data: Dataset, folder: Path) -> None:
    """Copy every key as it is: the chunks are not decoded."""
    import zarr
    from zarr.abc.store import Store
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    source: Store = data._session.store

    async def keys() -> list[str]:
        return [key async for key in source.list()]

    paths = [data.feature_sets()[name]["path"] for name in data.left_out]
    paths += [feature_hash(name) for name in data.left_out]
    for key in sync(keys()):
        if any(key.startswith(f"{path}/") for path in paths):
            continue
        value = sync(source.get(key, default_buffer_prototype()))
        if value is None:
            raise CorruptDataError(
                f"{data.location.address}: {key} cannot be read. See timbre-data dataset verify {data.name}."
            )
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value.to_bytes())
    if data.left_out:
        root = zarr.open_group(folder, mode="r+")
        kept = {name: about for name, about in data.feature_sets().items() if name not in data.left_out}
        set_meta(root, features=kept)
        store_digest(root)


def _count_rows(folder: Path) -> int:
    import zarr

    return int(zarr.open_group(folder, mode="r")["params"].shape[0])  # type: ignore[union-attr]  # an array


EXPORTER = Exporter(
    summary="Plain Zarr v3: the stored chunks, for any Zarr reader.", write=_write, count_rows=_count_rows
)
