"""The datasets of a folder or of a prefix in object storage."""

from __future__ import annotations

from timbre_data.pipeline.store.location import STORE, Location, export_group, known_datasets, known_exports, locate
from timbre_data.pipeline.store.objects import object_store, reaching, sizes


def datasets_in(place: str) -> list[str]:
    """Addresses of the datasets in a folder or under an `s3://` prefix, exports as plain Zarr among them."""
    location = locate(place if "/" in place or place.startswith(".") else f"./{place}")
    if not location.remote:
        names = {*known_datasets(location.folder), *known_exports(location.folder)}
        return [str(location.folder / name) for name in sorted(names)]
    import obstore

    with reaching(location.address):
        prefixes = obstore.list_with_delimiter(object_store(location.address))["common_prefixes"]
    base = location.address.rstrip("/")
    return [f"{base}/{prefix.rstrip('/').rsplit('/', 1)[-1]}" for prefix in sorted(prefixes)]


def size_of(location: Location) -> int:
    """Bytes of a dataset, of all its versions together."""
    if location.remote:
        with reaching(location.address):
            return sum(sizes(object_store(location.address)).values())
    folder = location.folder / STORE
    if not folder.is_dir():
        folder = export_group(location.folder) or location.folder
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
