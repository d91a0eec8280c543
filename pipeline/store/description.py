"""The digest of a dataset's description: its attributes, and what every array is called, measures and means.

Chunks carry checksums and rows hashes; the description (rate, recipe, parameters and their order, units, names of
columns) has only this. It is stored beside the description with every commit that changes it, and compared by whoever
opens the dataset, so that a flipped bit is never read as another rate or unit.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import Any

import zarr

from timbre_data.schemas.errors import CorruptDataError

META = "timbre_data"
"""Attribute of the root group: the dataset's description."""
DIGEST = "description_sha256"
"""Attribute of the root group: the digest."""
DIGESTED = "digested"
"""Field of the description: it has a digest. Datasets of older versions have none."""


def digest_of(root: zarr.Group) -> str:
    """SHA-256 of the description, in a form that does not depend on the version of Zarr."""
    described: dict[str, Any] = {
        "attributes": {key: value for key, value in root.attrs.asdict().items() if key != DIGEST}
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Zarr passes over a damaged node with a warning; then the digest differs
        members = root.members(max_depth=None)
    for path, node in members:
        entry: dict[str, Any] = {"attributes": node.attrs.asdict()}
        if isinstance(node, zarr.Array):
            entry |= {"shape": list(node.shape), "chunks": list(node.chunks), "dtype": dtype_name(node)}
            if names := dimension_names(node):  # arrays of older versions have none
                entry["dimensions"] = list(names)
        described[path] = entry
    text = json.dumps(described, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def dtype_name(array: zarr.Array[Any]) -> str:
    """The type of an array's values, in a form that does not depend on the version of NumPy."""
    return "str" if array.dtype.kind in "OTU" else str(array.dtype.str)


def dimension_names(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Names of an array's axes; none where older versions made it."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    return tuple(str(name) for name in names)


def store_digest(root: zarr.Group) -> None:
    """Store the digest of a description beside it; whoever changes a description does this last."""
    meta: Any = root.attrs[META]
    root.attrs[META] = meta | {DIGESTED: True}
    root.attrs[DIGEST] = digest_of(root)


def check_description(root: zarr.Group, address: str) -> None:
    """Raise `CorruptDataError` where the digest does not match. Datasets of older versions pass without one."""
    stored = root.attrs.get(DIGEST)
    meta = root.attrs.get(META)
    promised = isinstance(meta, dict) and meta.get(DIGESTED) is True
    if stored is None and not promised:
        return
    if stored != digest_of(root):
        raise CorruptDataError(
            f"{address}: its description (recipe, parameters, units or names) does not match its digest, so nothing of it can be trusted: restore it from a copy, or open an earlier version with NAME@TAG."
        )
