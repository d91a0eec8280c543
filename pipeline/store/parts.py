"""Parts of a dataset, made by machines that share nothing but its store.

They write disjoint chunks on a branch of their own, where Icechunk's detection of conflicts lets any number of them
commit: whoever commits later takes over what others did, and is refused where both wrote one chunk. The dataset is as
it was before, or empty, until all parts are there; then its own branch follows in one step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import icechunk
from filelock import FileLock

from timbre_data.pipeline.store.location import Location, locate
from timbre_data.pipeline.store.reader import Dataset
from timbre_data.pipeline.store.repository import BRANCH, PARTS, exists, open_repository, parts_under_way
from timbre_data.pipeline.store.writer import (
    RUNNING_PART,
    Writer,
    locked,
    refuse_while_parts_run,
    translated_errors,
)
from timbre_data.schemas.errors import BuildError, LockedError, NotFoundError, UsageError

LOCK_SECONDS = 30.0
"""Time for which a part waits for the commit of another in the same folder."""
TRIES = 8
"""How often a part opens a dataset that another creates at the same moment."""


class PartWriter(Writer):
    """Writes one part of a dataset while others write theirs. A local dataset is locked while it is opened and for each
    commit only. A commit that meets another's changes of the same chunks raises `LockedError`, and is as if nothing had
    been written since the last one.
    """

    branch = PARTS
    lock_seconds = LOCK_SECONDS

    def __enter__(self) -> Self:
        for attempt in range(TRIES):
            try:
                super().__enter__()
                break
            except (LockedError, BuildError):
                if not self.location.remote or attempt == TRIES - 1 or not exists(self.location):
                    raise
                time.sleep(0.1 * 2**attempt)  # another part creates it at this moment
        if not self.location.remote:
            self._running = FileLock(self.location.folder / RUNNING_PART.format(f"{os.getpid()}-{id(self)}"))
            self._running.acquire()
        self._release()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if not self.location.remote:
            Path(self._running.lock_file).unlink(missing_ok=True)
            self._running.release()

    def _begin(self) -> None:
        if PARTS not in self._repo.list_branches():
            with self._alone(), self._unless(lambda: PARTS in self._repo.list_branches()):
                self._repo.create_branch(PARTS, self._repo.lookup_branch(BRANCH))
        super()._begin()

    @contextmanager
    def _unless(self, done: Callable[[], bool]) -> Iterator[None]:
        """Let an error pass where another part has done the same meanwhile."""
        try:
            yield
        except (icechunk.IcechunkError, icechunk.ConflictError):
            if not done():
                raise

    def refresh(self) -> None:
        """See what others have committed; what was not committed here is dropped."""
        with translated_errors(self.location.address):
            self._begin()

    def _store(self, message: str, metadata: dict[str, Any]) -> None:
        try:
            with self._alone():
                self._session.commit(message, metadata=metadata, rebase_with=icechunk.ConflictDetector())
        except (icechunk.ConflictError, icechunk.RebaseFailedError, LockedError):
            self._begin()
            raise
        except icechunk.IcechunkError as error:
            if "ref not found" not in str(error):
                raise
            raise BuildError(
                f"{self.location.address}: its parts were given up, or it was moved or removed, while this one was made."
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of a local dataset; object storage compares references itself."""
        with nullcontext() if self._lock else locked(self.location, LOCK_SECONDS):
            yield

    def tag(self, name: str, snapshot: str | None = None) -> None:
        """Name a commit, unless another part has done so."""
        with self._alone():
            if name not in self.tags:
                super().tag(name, snapshot)

    def join(self) -> None:
        """Let the dataset's own branch follow that of the parts, and remove the latter. Nothing happens where another
        part has done so.

        Raises `UsageError` for a dataset that was changed otherwise meanwhile.
        """
        with translated_errors(self.location.address), self._alone():
            if PARTS not in self._repo.list_branches():
                return
            with self._unless(lambda: PARTS not in self._repo.list_branches()):
                self._follow()

    def _follow(self) -> None:
        main, tip = self._repo.lookup_branch(BRANCH), self._repo.lookup_branch(PARTS)
        if all(info.id != main for info in self._repo.ancestry(branch=PARTS)):
            raise UsageError(
                f"{self.location.address} was changed while its parts were made: give the parts up with timbre-data dataset finish {self.location.address} --drop, and make them again."
            )
        if main != tip:
            self._repo.reset_branch(BRANCH, tip, from_snapshot_id=main)
        self._repo.delete_branch(PARTS)


def open_parts(address: str) -> Dataset | None:
    """What is there of a dataset that is being made in parts; None where none is, or nothing is described yet."""
    repo = open_repository(locate(address))
    if not parts_under_way(repo):
        return None
    try:
        return Dataset(address, str(repo.lookup_branch(PARTS)))
    except NotFoundError:
        return None


def refuse_without_parts(location: Location) -> None:
    """Raise `NotFoundError` for a dataset of which no parts are being made."""
    if PARTS not in open_repository(location).list_branches():
        raise NotFoundError(f"{location.address} is not being made in parts: there is nothing to finish.")


def drop_parts(location: Location) -> None:
    """Give up the parts of a dataset that have not been joined: it is as it was before them. `dataset gc` deletes what
    they wrote.
    """
    refuse_without_parts(location)
    with translated_errors(location.address), locked(location, LOCK_SECONDS):
        refuse_while_parts_run(location)
        open_repository(location).delete_branch(PARTS)
