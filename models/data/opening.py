"""Opening the datasets that runs and settings name."""

from __future__ import annotations

from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.synths.hosting.trust import require_address


def open_named(name: str, snapshot: str | None = None) -> Dataset:
    """Open a dataset that a run or settings name, which may come from somebody else. Raises `UntrustedError` for one in
    object storage that is neither on this command line nor trusted.
    """
    require_address(name)
    return Dataset(name, snapshot)
