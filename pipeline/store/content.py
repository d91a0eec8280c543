"""The digest of a dataset's content, to cite it by: the same for every copy and export, and however it was built.

It covers the sounds, labels, splits and features of all rows (by their hashes), the dry sounds, and what every array is
called, measures and means. It leaves out where, when, by whom and in how many steps the dataset was made, and how it is
compressed. The hashes of rows are 64 bits long: they find damage and differences, not forgery.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from timbre_data.pipeline.store.columns import DRY_HASH, DRY_INDEX, ORIGIN_DRY, ROW_HASH, feature_hash
from timbre_data.pipeline.store.description import dtype_name

if TYPE_CHECKING:
    from timbre_data.pipeline.store.reader import Dataset

OUTSIDE = ("integrity/", "origin/")
"""Groups whose arrays say something about the content and are none of it."""


def content_digest(data: Dataset) -> str | None:
    """SHA-256 of a dataset's content in hexadecimal digits; None while rows or features are missing. Features that an
    export leaves out are no part of it.
    """
    if not data.complete() or set(data.unfinished_features()) - set(data.left_out):
        return None
    left_out = {data.feature_sets()[name]["path"] for name in data.left_out}
    described: dict[str, Any] = {}
    for path, node in data.root.members(max_depth=None):
        if not isinstance(node, zarr.Array) or path.startswith(OUTSIDE) or path in left_out:
            continue
        described[path] = {"attributes": node.attrs.asdict(), "dtype": dtype_name(node), "shape": list(node.shape)}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode())
    if data.has(ORIGIN_DRY):  # no part of the hashes that rows keep
        index = data.read(DRY_INDEX)
        if (index != data.read(ORIGIN_DRY)).any():
            digest.update(DRY_INDEX.encode() + index.astype("<i4").tobytes())
    features = sorted(set(data.feature_sets()) - set(data.left_out))
    hashes = {ROW_HASH: data.row_hashes} | {path: data.read(path) for path in (DRY_HASH, *map(feature_hash, features))}
    for path, values in hashes.items():
        digest.update(path.encode() + np.asarray(values).astype("<u8").tobytes())
    return digest.hexdigest()
