"""Exports as plain Zarr, opened as datasets: read-only, of one version, in a folder or under an `s3://` address.

An export `X/` holds the Zarr group `X/data.zarr`, with card and checksums beside it; either can be named. Zarr takes a
chunk that is not there for one of zeros, so the description says how many objects there are, and fewer are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import Store

from timbre_data.pipeline.store.location import EXPORT, Location, export_group
from timbre_data.pipeline.store.objects import object_store, reaching
from timbre_data.schemas.errors import CorruptDataError

EXPORTED = "exported"
"""Field of an export's description: digest of its content, version, snapshot, maker, number of objects."""


def open_export(location: Location) -> Store | None:
    """The Zarr store of an export; None where there is none."""
    if not location.remote:
        group = export_group(location.folder)
        return zarr.storage.LocalStore(group, read_only=True) if group else None
    import obstore

    with reaching(location.address):
        for address in (f"{location.address.rstrip('/')}/{EXPORT}", location.address):
            objects = object_store(address)
            try:
                obstore.head(objects, "zarr.json")
            except FileNotFoundError:
                continue
            return zarr.storage.ObjectStore(objects, read_only=True)
    return None


def check_export(store: Store, meta: dict[str, Any], address: str) -> None:
    """Raise `CorruptDataError` for an export that has lost objects, whose rows would be read as zeros."""
    expected = meta.get(EXPORTED, {}).get("objects")
    there = count_objects(store)
    if expected is not None and there < expected:
        raise CorruptDataError(
            f"{address} is not whole: {expected - there} of its {expected} files are missing. Get the export again; sha256sum -c SHA256SUMS names them."
        )


def count_objects(store: Store) -> int:
    """The number of objects in a store."""
    if isinstance(store, zarr.storage.LocalStore):
        return sum(1 for path in Path(store.root).rglob("*") if path.is_file())
    from zarr.core.sync import sync

    async def count() -> int:
        return sum([1 async for _ in store.list()])

    return sync(count())
