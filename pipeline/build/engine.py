"""The engine of every stage that writes: tasks over whole chunks, spread by Dask, merged as they end, committed every
few seconds.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.machine import available_cores
from timbre_data.pipeline.build.progress import Progress
from timbre_data.pipeline.catalogue.registry import MemberFile, add_files, named_files
from timbre_data.pipeline.store.columns import AUDIO_CHUNK, TABLE_CHUNK
from timbre_data.pipeline.store.writer import Writer
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.schemas.errors import BuildError, InterruptedBuildError, TimbreDataError, UsageError

COMMIT_SECONDS = float(os.environ.get("TIMBRE_DATA_COMMIT_SECONDS", "4"))
"""Seconds between commits; a kill loses at most so much work."""


MAX_BATCH = 2048


@dataclass(frozen=True)
class Cluster:
    """The place where tasks run: `workers` threads of this process, or the cluster behind a scheduler's address.

    `batch` is rows a task, a multiple of 256; by default chosen so that every worker gets several tasks.
    """

    workers: int = field(default_factory=available_cores)
    scheduler: str | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"--workers must be at least 1, got {self.workers}.")
        if self.batch is not None and (self.batch < TABLE_CHUNK or self.batch % TABLE_CHUNK):
            raise UsageError(f"--batch must be a multiple of {TABLE_CHUNK} (the rows of one chunk), got {self.batch}.")

    @classmethod
    def of(cls, workers: int | None, scheduler: str | None = None, batch: int | None = None) -> Cluster:
        """The cluster that options ask for; None is the default."""
        return cls(available_cores() if workers is None else workers, scheduler, batch)

    def rows_per_task(self, total: int, *, cheap: bool = False) -> int:
        """Rows of one task for a stage of `total` rows; cheap ones take less time than a task itself does."""
        if self.batch is not None:
            return self.batch
        if cheap:
            return MAX_BATCH
        share = total // (self.workers * 8) // TABLE_CHUNK * TABLE_CHUNK
        return int(np.clip(share, TABLE_CHUNK, MAX_BATCH))


@dataclass(frozen=True)
class Task:
    """Rows `start` to `stop` of one stage; both lie on chunk borders, or at the ends of what is missing."""

    start: int
    stop: int

    def audio_chunks(self) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of the rows of each audio chunk that the task covers, whole or in part."""
        start = self.start
        while start < self.stop:
            stop = min((start // AUDIO_CHUNK + 1) * AUDIO_CHUNK, self.stop)
            yield start, stop
            start = stop


@dataclass(frozen=True)
class TaskResult:
    """The result of a task: its session, and about a kilobyte of counts."""

    session: bytes
    rows: int
    rejected: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


def tasks_for(missing: NDArray[np.int64], rows_per_task: int) -> list[Task]:
    """Cut the missing rows into tasks that never share a chunk."""
    tasks: list[Task] = []
    for block in np.split(missing, np.flatnonzero(np.diff(missing // rows_per_task)) + 1):
        for run in np.split(block, np.flatnonzero(np.diff(block) != 1) + 1):
            if len(run) and tasks and tasks[-1].stop > int(run[0]) // TABLE_CHUNK * TABLE_CHUNK:
                tasks[-1] = Task(tasks[-1].start, int(run[-1]) + 1)  # a gap inside one chunk: do the rows between again
            elif len(run):
                tasks.append(Task(int(run[0]), int(run[-1]) + 1))
    return tasks


@contextmanager
def dask_client(cluster: Cluster) -> Iterator[Any]:
    """A Dask client: of the given scheduler, or of threads in this process."""
    import dask
    from distributed import Client, LocalCluster

    if cluster.scheduler:
        try:
            client = Client(cluster.scheduler, timeout="5s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {cluster.scheduler} ({type(error).__name__}): start one with 'dask scheduler'."
            ) from None
        with client:
            if not client.scheduler_info()["workers"]:
                raise UsageError(
                    f"the scheduler at {cluster.scheduler} has no workers: start some with 'dask worker {cluster.scheduler}'."
                )
            yield client
        return
    settings = {
        "distributed.worker.memory.spill": False,
        "distributed.admin.tick.limit": "1h",
        "distributed.worker.profile.enabled": False,
        "logging.distributed": "error",
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        local = stack.enter_context(
            LocalCluster(
                n_workers=1,
                threads_per_worker=cluster.workers,
                processes=False,
                dashboard_address=":0",
                memory_limit=None,
                silence_logs=50,
            )
        )
        client = stack.enter_context(Client(local, set_as_default=False))
        try:
            yield client
        except KeyboardInterrupt:
            stack.pop_all()  # to close it would wait for tasks whose results nobody takes any more
            raise


def leave_at_once(code: int) -> NoReturn:
    """End this process while tasks are at work in its threads, which Python's own way out would wait for or trip
    over.
    """
    close_instruments()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Interrupt:
    """Catches Ctrl-C, and the SIGTERM of batch systems, while a build runs: the first ends it cleanly, a second one at
    once.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> _Interrupt:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = [(number, signal.signal(number, self._handle)) for number in (signal.SIGINT, signal.SIGTERM)]
        return self

    def __exit__(self, *ignored: object) -> None:
        if self._main:
            for number, handler in self._before:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print(
            "timbre-data: finishing the running tasks; press Ctrl-C again to stop at once.", file=sys.stderr, flush=True
        )


def run(
    client: Any,
    cluster: Cluster,
    writer: Writer,
    tasks: Sequence[Task],
    function: Callable[..., TaskResult],
    arguments: Iterable[Any],
    *,
    message: str,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Run `function(session, address, task, *arguments)` for every task; merge and commit as they end.

    Returns the notes of all tasks. Raises what a task raised, or `InterruptedBuildError` after Ctrl-C; either way what
    was done is committed first.
    """
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting = iter(tasks)
    files = named_files()
    constants = tuple(arguments)
    workers = sum(worker["nthreads"] for worker in client.scheduler_info()["workers"].values())
    running: set[Any] = set()
    notes: list[dict[str, Any]] = []
    rows = 0
    committed = time.monotonic()

    def submit() -> None:
        task = next(waiting, None)
        if task is not None:
            session = writer.task_session()
            future = client.submit(
                _run_task, files, function, session, writer.location.address, task, *constants, pure=False
            )
            running.add(future)
            future.add_done_callback(done.put)

    def commit() -> None:
        nonlocal committed
        writer.commit(message.format(rows=rows), rows=rows)
        committed = time.monotonic()

    with _Interrupt() as interrupt:
        for _ in range(2 * workers):
            submit()
        try:
            while running:
                try:
                    future = done.get(timeout=0.2)
                except queue.Empty:
                    if interrupt.requested:
                        _cancel_waiting(client, running)
                    continue
                if future.status == "cancelled":
                    running.discard(future)
                    continue
                result: TaskResult = _result(future)
                running.discard(future)
                if not interrupt.requested:
                    submit()
                writer.merge(result.session)
                rows += result.rows
                notes.append(result.notes)
                progress.advance(result.rows, result.rejected)
                if time.monotonic() - committed > COMMIT_SECONDS:
                    commit()
        except BaseException:
            _cancel_waiting(client, running)
            if rows:
                commit()
            raise
        if rows:
            commit()
        if interrupt.requested:
            raise InterruptedBuildError("interrupted: everything done so far is committed.")
    return notes


def _run_task(files: tuple[MemberFile, ...], function: Callable[..., TaskResult], *arguments: Any) -> TaskResult:
    """In a worker: know the files that the client's user named, then do the task."""
    add_files(files)
    return function(*arguments)


def _cancel_waiting(client: Any, running: set[Any]) -> None:
    """Withdraw tasks that have not begun."""
    processing = {key for keys in client.processing().values() for key in keys}
    client.cancel([future for future in running if future.key not in processing and future.status == "pending"])


def _result(future: Any) -> TaskResult:
    """The result of a task; errors that are not ours say where they happened."""
    from distributed.scheduler import KilledWorker

    try:
        result = future.result()
    except TimbreDataError:
        raise
    except KilledWorker as error:
        raise BuildError(
            f"workers died repeatedly on the same task ({error}): look at their memory and logs."
        ) from None
    assert isinstance(result, TaskResult)
    return result
