"""Opening datasets: Icechunk repositories in a local folder or under an `s3://` address.

A local dataset is a folder `NAME/` with the repository in `NAME/store/` and the writer's lock beside it. `store/`
appears by a rename, with its first commit in it, so a reader finds all of it or nothing. Icechunk's threads do not
survive a fork, and a child that touches the repository hangs; here it gets an error instead.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import icechunk
import zarr

from timbre_data.pipeline.store.location import STORE, Location, export_group, not_found
from timbre_data.schemas.errors import BuildError, CorruptDataError, NotFoundError, UsageError

INCOMPLETE = "store.incomplete"
"""Folder of a local repository before its first commit; the next attempt removes what a kill leaves there."""
BRANCH = "main"
PARTS = "parts"
"""Branch on which several machines make their parts of a dataset, until all of them are there (`parts`)."""
_opened_in: set[int] = set()


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
    if not location.remote:
        return (location.folder / STORE).is_dir()
    try:
        return bool(icechunk.Repository.exists(_storage(location)))
    except (icechunk.IcechunkError, ValueError, OSError) as error:
        raise BuildError(
            f"{location.address} cannot be reached ({first_line(error)}): check the bucket's name, the region (AWS_REGION), the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and, for another service than Amazon's, AWS_ENDPOINT_URL."
        ) from None


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


def refuse_absent(location: Location) -> None:
    """Raise `NotFoundError` listing what there is where there is no dataset, `UsageError` for an export."""
    guard_against_fork()
    if not exists(location):
        if not location.remote and export_group(location.folder):
            raise UsageError(
                f"{location.address} is an export, of one version and only for reading: make a dataset of it with timbre-data dataset select {location.address} --out NAME."
            )
        raise not_found(location)


def open_repository(location: Location) -> icechunk.Repository:
    """Open an existing repository. Raises `NotFoundError` listing what there is, or `CorruptDataError`."""
    refuse_absent(location)
    try:
        return icechunk.Repository.open(_storage(location))
    except icechunk.IcechunkError as error:
        raise CorruptDataError(
            f"{location.address} cannot be opened: {first_line(error)}. Restore it from a copy, or delete it to begin anew."
        ) from None


def parts_under_way(repo: icechunk.Repository) -> bool:
    """Whether parts of the dataset are being made that have not been joined with it."""
    if PARTS not in repo.list_branches():
        return False
    tip = repo.lookup_branch(PARTS)
    return all(info.id != tip for info in repo.ancestry(branch=BRANCH))


def nothing_in(location: Location, repo: icechunk.Repository | None) -> NotFoundError:
    """The error for a dataset that was only begun."""
    if repo is not None and parts_under_way(repo):
        return NotFoundError(
            f"{location.address} is being made in parts: when all are there, timbre-data dataset finish {location.address} joins them."
        )
    return NotFoundError(f"{location.address} is empty: render it.")


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
