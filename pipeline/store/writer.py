"""The one writer of a dataset: holds the lock, hands sessions to workers, merges what they wrote, commits.

Two local writers lose commits silently, so the lock is held from the first read to the last commit. A task's session is
forked from the last commit and merged whenever the task is done, also into a later one: tasks cover whole chunks, so
two of them never touch the same one, and no task waits for a commit.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import icechunk
import zarr
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from timbre_data.pipeline.catalogue.files import is_disk_full
from timbre_data.pipeline.catalogue.journal import note
from timbre_data.pipeline.store.chunks import read_array
from timbre_data.pipeline.store.description import META, check_description, store_digest
from timbre_data.pipeline.store.location import Location
from timbre_data.pipeline.store.repository import (
    BRANCH,
    create,
    exists,
    first_line,
    guard_against_fork,
    open_repository,
    parts_under_way,
)
from timbre_data.schemas.errors import BuildError, CorruptDataError, LockedError, TimbreDataError, UsageError


class WriterLock:
    """The lock of a local dataset's one writer, with a note of who holds it. Raises `LockedError`, after waiting for
    `timeout` seconds.
    """

    def __init__(self, location: Location, timeout: float = 0) -> None:
        location.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(location.folder / "writer.lock")
        owner = location.folder / "writer.json"
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            by = _owner(owner)
            raise LockedError(
                f"{location.address} is being written{by}: wait for it, or stop it and run this again."
            ) from None
        self._lock = lock
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        partial = owner.with_suffix(".new")  # renamed, so that whoever is refused never reads half of it
        partial.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
        partial.replace(owner)

    def release(self) -> None:
        """Let others write."""
        self._lock.release()


@contextmanager
def locked(location: Location, timeout: float = 0) -> Iterator[None]:
    """Hold off writers of a local dataset; in object storage the references decide. Raises `LockedError`, after waiting
    for `timeout` seconds.
    """
    if location.remote:
        yield
        return
    with translated_errors(location.address):
        lock = WriterLock(location, timeout)
    try:
        yield
    finally:
        lock.release()


RUNNING_PART = "part.{}.lock"
"""Locked in a local dataset's folder by each process that renders a part of it."""


def refuse_while_parts_run(location: Location) -> None:
    """Raise `LockedError` where a process of this machine renders a part of a local dataset at this moment."""
    if location.remote:
        return
    for file in sorted(location.folder.glob(RUNNING_PART.format("*"))):
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise LockedError(
                f"{location.address}: process {file.name.split('.')[1].partition('-')[0]} is rendering a part of it: wait for it, or stop it and run this again."
            ) from None
        lock.release()
        file.unlink(missing_ok=True)


class Writer:
    """Exclusive access to one dataset; use as a context manager. Raises `LockedError` when somebody else is writing,
    `UsageError` for an older state.

    Without `create`, a dataset that is not there is a `NotFoundError`; one of which parts are being made is a
    `UsageError`.
    """

    branch = BRANCH
    lock_seconds = 0.0

    def __init__(self, location: Location, *, create: bool = False) -> None:
        if location.version is not None:
            raise UsageError(
                f"{location.address}@{location.version} is an older state, and only the newest is written to: leave out @{location.version}."
            )
        self.location = location
        self._may_create = create
        self._lock: WriterLock | None = None
        self._dirty = self._noted = False

    def __enter__(self) -> Self:
        guard_against_fork()
        if not self._may_create:
            open_repository(self.location)  # before the lock, which would leave a folder behind
        if not self.location.remote:
            with translated_errors(self.location.address):
                self._lock = WriterLock(self.location, self.lock_seconds)
        try:
            with translated_errors(self.location.address):
                self._repo = open_repository(self.location) if exists(self.location) else create(self.location)
                if self.branch == BRANCH and parts_under_way(self._repo):
                    raise UsageError(
                        f"{self.location.address} is being made in parts: render those that are missing, then join them with timbre-data dataset finish {self.location.address}."
                    )
                self._begin()
                if not self._has_root():
                    self.root()
                    self.commit("begun")
                check_description(self.peek(), self.location.address)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            self._release()
            raise CorruptDataError(
                f"{self.location.address}: its description cannot be read ({first_line(error)}). See timbre-data dataset verify {self.location.address}."
            ) from None
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._noted and error is not None:
            self.note(f"stopped: {error or type(error).__name__}")
        self._release()

    def note(self, line: str) -> None:
        """Append a line to the log file beside a local dataset."""
        if not self.location.remote:
            note(self.location.folder, line)
            self._noted = True

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _has_root(self) -> bool:
        """Whether there is a root group: not yet in a new repository in object storage, nor in one whose creation was
        killed.
        """
        try:
            self.peek()
        except FileNotFoundError:
            return False
        return True

    def _begin(self) -> None:
        self._session = self._repo.writable_session(self.branch)
        self._fork: bytes | None = None
        self._dirty = self._described_anew = False

    @property
    def snapshot(self) -> str:
        """Id of the last commit."""
        with translated_errors(self.location.address):
            return str(self._repo.lookup_branch(self.branch))

    @property
    def tags(self) -> list[str]:
        """Names of the versions."""
        return sorted(self._repo.list_tags())

    def root(self) -> zarr.Group:
        """The root group, for changes made here rather than by tasks; call `commit` after them."""
        self._dirty = self._described_anew = True
        return zarr.open_group(self._session.store, mode="a")

    def peek(self) -> zarr.Group:
        """The root group, for reading."""
        return zarr.open_group(self._session.store, mode="r")

    def read(self, path: str, rows: slice = slice(None)) -> NDArray[Any]:
        """Rows of one array. Raises `CorruptDataError`."""
        array = self.peek()[path]
        assert isinstance(array, zarr.Array)
        return read_array(array, rows, self.location.address)

    def task_session(self) -> bytes:
        """A session for one task, pickled: based on the last commit, to be given back to `merge`."""
        if self._fork is None:
            if self._dirty:
                self.commit("before forking")
            self._fork = pickle.dumps(self._session.fork())
        return self._fork

    def merge(self, session: bytes) -> None:
        """Take over what a task wrote; it lasts from the next commit on."""
        with translated_errors(self.location.address):
            self._session.merge(pickle.loads(session))
        self._dirty = True

    def commit(self, message: str, **metadata: Any) -> str:
        """Make everything merged so far last. Returns the snapshot id; without changes, that of the last commit."""
        if not self._dirty:
            return self.snapshot
        with translated_errors(self.location.address):
            if self._described_anew and meta(self.peek()):
                store_digest(zarr.open_group(self._session.store, mode="a"))
            if self._session.has_uncommitted_changes:
                self._store(message, metadata)
            self._begin()
        return self.snapshot

    def _store(self, message: str, metadata: dict[str, Any]) -> None:
        self._session.commit(message, metadata=metadata)

    def collect_garbage(self, older_than: datetime) -> dict[str, int]:
        """Delete files that no commit refers to and that are older than a moment. Returns what was deleted."""
        with translated_errors(self.location.address):
            deleted = self._repo.garbage_collect(older_than)
        return {"chunks": deleted.chunks_deleted, "bytes": deleted.bytes_deleted}

    def tag(self, name: str, snapshot: str | None = None) -> None:
        """Name a commit, by default the last one, for good."""
        with translated_errors(self.location.address):
            self._repo.create_tag(name, snapshot_id=snapshot or self.snapshot)

    def commit_of(self, version: str) -> str | None:
        """The snapshot that was committed as a version; None where there is none."""
        history = self._repo.ancestry(branch=self.branch)
        return next((str(info.id) for info in history if info.metadata.get("version") == version), None)


def _owner(file: Path) -> str:
    """Who holds the lock, as far as the file says."""
    try:
        who = json.loads(file.read_text(encoding="utf-8"))
        return f" by process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class translated_errors:  # noqa: N801  # a context manager reads as a verb
    """Turns a full disk, a lost race and other trouble below the store into one-line errors of ours."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, TimbreDataError) or not isinstance(error, Exception):
            return
        text = first_line(error)
        if isinstance(error, icechunk.ConflictError | icechunk.RebaseFailedError):
            raise LockedError(
                f"{self._address} was changed by another writer meanwhile: nothing of theirs is lost; run this again."
            ) from error
        full = is_disk_full(error) or any(
            words in text
            for words in ("No space left", "os error 28", "os error 122", "os error 27", "File too large", "quota")
        )
        if full:
            raise BuildError(
                f"the disk under {self._address} is full. What was committed is safe: free some space, then run the same command to go on."
            ) from error
        if isinstance(error, icechunk.IcechunkError | OSError) or type(error).__name__ == "RustPanic":
            raise BuildError(f"{self._address} cannot be written: {text}. What was committed is safe.") from error


def set_meta(root: zarr.Group, **changes: Any) -> None:
    """Change fields of the dataset's description."""
    root.attrs[META] = dict(meta(root), **changes)


def meta(root: zarr.Group) -> dict[str, Any]:
    """The dataset's description; empty before it is created."""
    stored = root.attrs.get(META, {})
    assert isinstance(stored, dict)
    return stored
