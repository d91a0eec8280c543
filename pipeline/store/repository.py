"""Naming and opening datasets: Icechunk repositories in a local folder or under an `s3://` address.

A local dataset is a folder `NAME/` with the repository in `NAME/store/` and the writer's lock beside it. `store/` appears by
a rename, with its first commit in it, so a reader finds all of it or nothing. Icechunk's threads do not survive a fork, and
a child that touches the repository hangs; here it gets an error instead.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import icechunk
import zarr

from timbre_data.schemas.errors import BuildError, CorruptDataError, NotFoundError, UsageError
from timbre_data.schemas.recipe import NAME

STORE = "store"
INCOMPLETE = "store.incomplete"
"""Where a local repository is before its first commit; what a kill leaves there is removed by the next attempt."""
BRANCH = "main"
_opened_in: set[int] = set()


@dataclass(frozen=True)
class Location:
    """Where a dataset lives: `address` is a folder or an `s3://` URL; `version` a tag, a snapshot id, or None for the newest."""

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
    """Where bare names live: `$TIMBRE_DATA_HOME`, else `datasets/` in the current folder."""
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
        text = str(Path(text).expanduser())
    return Location(text, version or None)


def _storage(location: Location) -> Any:
    if not location.remote:
        return _local_storage(location.folder / STORE)
    bucket, _, prefix = location.address.removeprefix("s3://").partition("/")
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return icechunk.s3_storage(
        bucket=bucket,
        prefix=prefix,
        from_env=True,
        endpoint_url=endpoint,
        allow_http=bool(endpoint and endpoint.startswith("http:")),
        force_path_style=endpoint is not None,
    )


def _local_storage(folder: Path) -> Any:
    return icechunk.local_filesystem_storage(str(folder.absolute()))


def guard_against_fork() -> None:
    """Raise instead of hanging where a process was forked after a repository was opened."""
    if _opened_in and os.getpid() not in _opened_in:
        raise BuildError(
            "this process was forked after a dataset had been opened, and Icechunk does not survive that: start it with the 'spawn' or 'forkserver' method."
        )


def exists(location: Location) -> bool:
    """Whether there is a dataset."""
    guard_against_fork()
    _opened_in.add(os.getpid())
    return (location.folder / STORE).is_dir() if not location.remote else icechunk.Repository.exists(_storage(location))


def create(location: Location) -> icechunk.Repository:
    """Create an empty repository, a local one with an empty root group. The caller holds the dataset's lock."""
    guard_against_fork()
    _opened_in.add(os.getpid())
    if location.remote:
        return icechunk.Repository.create(_storage(location))
    incomplete = location.folder / INCOMPLETE
    shutil.rmtree(incomplete, ignore_errors=True)
    incomplete.mkdir(parents=True)
    session = icechunk.Repository.create(_local_storage(incomplete)).writable_session(BRANCH)
    zarr.open_group(session.store, mode="w")
    session.commit("begun")
    incomplete.rename(location.folder / STORE)
    return icechunk.Repository.open(_storage(location))


def open_repository(location: Location) -> icechunk.Repository:
    """Open an existing repository. Raises `NotFoundError` listing what there is, or `CorruptDataError`."""
    guard_against_fork()
    if not exists(location):
        beside = [] if location.remote else known_datasets(location.folder.parent)
        where = location.address if location.remote else str(location.folder)
        raise NotFoundError(
            f"there is no dataset {where}. Known there: {', '.join(beside) or 'none'}. Make one with timbre-data render."
        )
    try:
        return icechunk.Repository.open(_storage(location))
    except icechunk.IcechunkError as error:
        raise CorruptDataError(f"{location.address} cannot be opened: {first_line(error)}.") from None


def known_datasets(folder: Path | None = None) -> list[str]:
    """Names of the datasets in a folder (by default, at home)."""
    folder = folder or home()
    return sorted(path.parent.name for path in folder.glob(f"*/{STORE}") if path.is_dir()) if folder.is_dir() else []


def snapshot_of(repo: icechunk.Repository, version: str | None, name: str) -> str:
    """Return the snapshot id of a tag or (the beginning of) a snapshot id. Raises `NotFoundError` naming the tags."""
    if version is None:
        return str(repo.lookup_branch(BRANCH))
    tags = sorted(repo.list_tags())
    if version in tags:
        return str(repo.lookup_tag(version))
    for info in repo.ancestry(branch=BRANCH):
        if len(version) >= 6 and info.id.startswith(version):
            return str(info.id)
    raise NotFoundError(
        f"{name} has no version '{version}'. Tags: {', '.join(tags) or 'none'}; see timbre-data dataset log {name}."
    )


def first_line(error: BaseException) -> str:
    """The message of an Icechunk error on one line, without its trace."""
    text = " ".join(line.strip(" |`->") for line in str(error).splitlines() if line.strip(" |"))
    return text.split(" context:")[0].removeprefix("x ").strip().rstrip(".")
