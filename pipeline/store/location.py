"""Naming datasets: what a user writes, and where that is. Imports nothing that takes time, so a wrong name is refused
at once.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from timbre_data.schemas.errors import NotFoundError, UsageError
from timbre_data.schemas.recipe import NAME

LONGEST = 200
"""Bytes of one part of a path: file systems take 255, and some are needed for what lies beside it."""
STORE = "store"
"""Folder of the repository, in the folder of a local dataset."""
EXPORT = "data.zarr"
"""Group of an export as plain Zarr, in its folder."""


@dataclass(frozen=True)
class Location:
    """The location of a dataset: `address` is a folder or an `s3://` URL; `version` a tag, a snapshot id, or None for
    the newest.
    """

    address: str
    version: str | None = None

    @property
    def remote(self) -> bool:
        """Whether the dataset is in object storage."""
        return self.address.startswith("s3://")

    @property
    def folder(self) -> Path:
        """The local folder."""
        return Path(self.address)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.address.rstrip("/").rsplit("/", 1)[-1]


def home() -> Path:
    """The folder of datasets that are given by a bare name: `$TIMBRE_DATA_HOME`, else `datasets/` in the current
    folder.
    """
    return Path(os.environ.get("TIMBRE_DATA_HOME", "datasets"))


def locate(name: str) -> Location:
    """Turn what a user writes (a bare name, a path or an URL, with `@version`) into a location."""
    text, at, version = name.rpartition("@")
    if not at or "/" in version:
        text, version = name, ""
    if "://" in text and not text.startswith("s3://"):
        raise UsageError(f"cannot open {text}: a dataset is a name, a folder, or s3://bucket/prefix.")
    if "://" not in text and "/" not in text and not text.startswith((".", "~")):
        if not re.match(NAME, text):
            raise UsageError(f"'{text}' cannot name a dataset: use letters, digits, '_', '-' and '.'.")
        text = str(home() / text)
    elif "://" not in text:
        try:
            text = str(Path(text).expanduser())
        except RuntimeError:
            raise UsageError(f"{text}: there is no user of that name here.") from None
    if any(len(part.encode("utf-8", "surrogateescape")) > LONGEST for part in text.split("/")):
        raise UsageError(f"'{text[:60]}...' is too long a name for a dataset: use at most {LONGEST} bytes.")
    return Location(text, version or None)


def export_group(folder: Path) -> Path | None:
    """The Zarr group of an export that is given by its folder, or by the group's own; None for anything else."""
    groups = (folder / EXPORT, folder)
    return next((group for group in groups if (group / "zarr.json").is_file()), None)


def known_datasets(folder: Path | None = None) -> list[str]:
    """Names of the datasets in a folder (by default, at home)."""
    folder = folder or home()
    return sorted(path.parent.name for path in folder.glob(f"*/{STORE}") if path.is_dir()) if folder.is_dir() else []


def known_exports(folder: Path) -> list[str]:
    """Names of the exports as plain Zarr in a folder."""
    return sorted(path.parents[1].name for path in folder.glob(f"*/{EXPORT}/zarr.json"))


def not_found(location: Location) -> NotFoundError:
    """The error for a dataset that does not exist; it lists those beside it."""
    if location.remote:
        above = location.address.rstrip("/").rpartition("/")[0]
        return NotFoundError(
            f"there is no dataset {location.address}. See timbre-data dataset list {above}, or make one with timbre-data render."
        )
    parent = location.folder.parent
    beside = sorted({*known_datasets(parent), *known_exports(parent)})
    return NotFoundError(
        f"there is no dataset {location.folder}. Known there: {', '.join(beside) or 'none'}. Make one with timbre-data render."
    )


def check_exists(name: str) -> None:
    """Raise `NotFoundError` for a local dataset that does not exist. One in object storage is looked up when it is
    opened.
    """
    location = locate(name)
    if not location.remote and not (location.folder / STORE).is_dir() and not export_group(location.folder):
        raise not_found(location)
