"""The engine of every stage that writes: tasks over whole chunks, spread by Dask, merged as they end, committed every
few seconds.
"""

from __future__ import annotations

import math
import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from timbre_data.pipeline.build.connecting import refuse_other_code, refuse_other_workers
from timbre_data.pipeline.build.provenance import fingerprint
from timbre_data.pipeline.build.watching import (
    PATIENCE_SECONDS,
    ClusterWatch,
    Patience,
    answers,
    known_workers,
    while_looking,
)
from timbre_data.pipeline.catalogue.progress import Progress
from timbre_data.pipeline.catalogue.registry import MemberFile, add_files, named_files
from timbre_data.pipeline.catalogue.threads import available_cores
from timbre_data.pipeline.store.columns import AUDIO_CHUNK, TABLE_CHUNK
from timbre_data.pipeline.store.writer import Writer, meta, set_meta
from timbre_data.pipeline.synths.hosting.open_synths import close_instruments
from timbre_data.pipeline.synths.hosting.trust import trusted, trusting_in_task
from timbre_data.schemas.errors import (
    BuildError,
    InterruptedBuildError,
    TimbreDataError,
    UsageError,
)


def commit_seconds() -> float:
    """Seconds between commits; a kill loses at most so much work. Raises `UsageError` for what is no number."""
    text = os.environ.get("TIMBRE_DATA_COMMIT_SECONDS", "4")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UsageError(f"TIMBRE_DATA_COMMIT_SECONDS={text} is not a number of seconds.")
    return seconds


MAX_BATCH = 2048
ENDING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


@dataclass(frozen=True)
class Cluster:
    """The place where tasks run: `workers` threads of this process, or the cluster behind a scheduler's address.

    `batch` is rows a task, a multiple of 256; by default chosen so that every worker gets several tasks. `patience` is
    the time in seconds to wait for a scheduler or worker that does not answer. Workers must run the same code as the
    client, unless `allow_mixed`.
    """

    workers: int = field(default_factory=available_cores)
    scheduler: str | None = None
    batch: int | None = None
    patience: float = PATIENCE_SECONDS
    allow_mixed: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"--workers must be at least 1, got {self.workers}.")
        if not self.patience >= 0:
            raise UsageError(f"--patience must be 0 or more seconds, got {self.patience:g}.")
        if self.batch is not None and (self.batch < TABLE_CHUNK or self.batch % TABLE_CHUNK):
            raise UsageError(f"--batch must be a multiple of {TABLE_CHUNK} (the rows of one chunk), got {self.batch}.")

    @classmethod
    def of(cls, workers: int | None, scheduler: str | None = None, batch: int | None = None, **options: Any) -> Cluster:
        """The cluster that options ask for; None is the default."""
        return cls(available_cores() if workers is None else workers, scheduler, batch, **options)

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
    """The result of a task: its session, about a kilobyte of counts, and the fingerprint of the worker's code."""

    session: bytes
    rows: int
    rejected: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)


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


def leave_at_once(code: int) -> NoReturn:
    """End this process while tasks are at work in its threads, which Python's own way out would wait for or trip
    over.
    """
    close_instruments()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Interrupt:
    """Catches Ctrl-C, the SIGTERM of batch systems and the SIGHUP of a closed terminal while a build runs: the first
    ends it cleanly, a second one at once. A signal that is ignored (nohup) stays so.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> _Interrupt:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            numbers = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
            self._before = [(number, signal.signal(number, self._handle)) for number in numbers]
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

    Tasks that a cluster loses are done again. Returns the notes of all tasks. Raises what a task raised,
    `ClusterLostError` for a cluster that is gone for longer than its patience, or `InterruptedBuildError` after Ctrl-C;
    in each case what was done is committed first.
    """
    from distributed.client import ClosedClientError

    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting = deque(tasks)
    files = named_files()
    constants = tuple(arguments)
    threads = [worker["nthreads"] for worker in known_workers(client).values()]
    workers = max(sum(threads), 1)  # a scheduler may be lost by now
    running: dict[Any, Task] = {}
    patience = Patience(cluster.patience)
    notes: list[dict[str, Any]] = []
    rows = 0
    pause, committed = commit_seconds(), time.monotonic()

    def submit() -> None:
        while waiting and len(running) < 2 * workers and watch.connected:
            session = writer.task_session()
            task = waiting.popleft()
            work = (files, trusted(), function, session, writer.location.address, task, *constants)
            try:
                future = client.submit(_run_task, *work, pure=False)
            except ClosedClientError:  # Dask has given up in this moment
                waiting.appendleft(task)
                return
            running[future] = task
            future.add_done_callback(done.put)

    def commit() -> None:
        nonlocal committed
        writer.commit(message.format(rows=rows), rows=rows)
        committed = time.monotonic()

    joined = partial(refuse_other_workers, client, cluster)
    with _Interrupt() as interrupt, ClusterWatch(client, cluster.scheduler, joined) as watch:

        def look() -> None:
            if news := patience.news(watch.problem(), gave_up=watch.gave_up):
                progress.notice(news)

        try:
            while running or (waiting and not interrupt.requested):
                if not interrupt.requested:
                    submit()
                if watch.refused:
                    raise watch.refused
                look()
                try:
                    future = done.get(timeout=0.2)
                except queue.Empty:
                    if interrupt.requested:
                        _cancel_waiting(client, running)
                    continue
                task = running.pop(future)
                result = _result(future, look)
                if result is None:
                    if not interrupt.requested:
                        waiting.appendleft(task)
                    continue
                patience.progressed()
                if cluster.scheduler:
                    _take_fingerprint(writer, cluster, result.made_by)
                if not interrupt.requested:
                    submit()
                writer.merge(result.session)
                rows += result.rows
                notes.append(result.notes)
                progress.advance(result.rows, result.rejected)
                if time.monotonic() - committed > pause:
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


def _run_task(
    files: tuple[MemberFile, ...], programs: tuple[str, ...], function: Callable[..., TaskResult], *arguments: Any
) -> TaskResult | TimbreDataError:
    """In a worker: know the files that the client's user named, and the programs they trust, then do the task. An error
    of ours is returned: Dask cuts the long ones that are raised.
    """
    add_files(files)
    try:
        with trusting_in_task(programs):
            return replace(function(*arguments), made_by=fingerprint())
    except TimbreDataError as error:
        return error


def _take_fingerprint(writer: Writer, cluster: Cluster, made_by: dict[str, str]) -> None:
    """Refuse what a worker of other code made, such as one that joined in the middle; or note its code, if allowed."""
    if made_by == fingerprint():
        return
    if not cluster.allow_mixed:
        refuse_other_code("a worker", made_by)
    note_other_code(writer, made_by)


def note_other_code(writer: Writer, made_by: dict[str, str]) -> None:
    """Note with a dataset that other code made a part of it."""
    before = meta(writer.peek())["provenance"]
    if made_by not in before.get("mixed_with", []):
        set_meta(writer.root(), provenance=before | {"mixed_with": [*before.get("mixed_with", []), made_by]})


def _cancel_waiting(client: Any, running: Iterable[Any]) -> None:
    """Withdraw tasks that have not begun."""
    if not answers(client):
        return
    processing = {key for keys in client.processing().values() for key in keys}
    client.cancel([future for future in running if future.key not in processing and future.status == "pending"])


def _result(future: Any, look: Callable[[], None]) -> TaskResult | None:
    """The result of a task, None where the scheduler forgot it, or was lost while it brought it; errors that are not
    ours say where they happened. `look` is called while it comes: a scheduler that is stopped never brings it.
    """
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker

    if future.status == "cancelled":
        return None
    try:
        result = while_looking(future.result, look)
    except (CancelledError, CommClosedError):
        return None
    except TimbreDataError:
        raise
    except KilledWorker as error:
        raise BuildError(
            f"workers died repeatedly on the same task ({error}): look at their memory and logs."
        ) from None
    if isinstance(result, TimbreDataError):
        raise result
    assert isinstance(result, TaskResult)
    return result
