"""Watching a Dask cluster while a build runs on it: a scheduler or worker that is lost or stopped is noticed and named.

Dask itself reassigns the tasks of a worker that ended, but it waits minutes for one that was stopped, and for ever for
a scheduler that was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, TypeVar

from timbre_data.schemas.errors import ClusterLostError

T = TypeVar("T")

PATIENCE_SECONDS = 180.0
"""For so long a build waits for a scheduler or worker that does not answer, unless told otherwise. A worker that
compiles, on a machine with more to do than processors, was seen to be silent for more than a minute.
"""

SILENT_SECONDS = 10.0
"""A scheduler or worker that was not heard of for so long counts as lost."""


class ClusterWatch:
    """Asks the scheduler every second who is there; use as a context manager. Threads of this process are not
    watched. `joined` is called with the addresses of workers that join later, and raises for those that may not;
    then `refused` is that error.
    """

    def __init__(
        self, client: Any, scheduler: str | None, joined: Callable[[list[str]], None] = lambda addresses: None
    ) -> None:
        self._client, self._scheduler, self._joined = client, scheduler, joined
        self.refused: ClusterLostError | None = None
        self._stop = threading.Event()
        self._known: set[str] | None = None
        self._began = self._heard = time.monotonic()
        # address: the scheduler's last_seen, and when it changed here
        self._workers: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> ClusterWatch:
        if self._scheduler:
            threading.Thread(target=self._poll, daemon=True).start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._stop.set()

    def _poll(self) -> None:
        while not self._stop.wait(1.0):
            if self._client.status != "running":
                continue
            try:
                workers = workers_of(self._client)
            except Exception:  # told by the age of the last answer
                continue
            now = time.monotonic()
            if self._known is not None and (new := sorted(workers.keys() - self._known)):
                self._check(new)
            self._known = {*(self._known or ()), *workers}
            with self._lock:
                self._heard = now
                before, self._workers = self._workers, {}
                for address, worker in workers.items():
                    seen = float(worker.get("last_seen", 0.0))
                    last, changed = before.get(address, (seen, now))
                    self._workers[address] = (seen, now if seen != last else changed)

    def _check(self, addresses: list[str]) -> None:
        try:
            self._joined(addresses)
        except ClusterLostError as error:
            self.refused = error
        except Exception:  # gone again: what it gives back is looked at, too
            return

    @property
    def connected(self) -> bool:
        """Whether tasks can be submitted now."""
        return self._scheduler is None or (
            self._client.status == "running" and time.monotonic() - self._heard < SILENT_SECONDS
        )

    def problem(self) -> str | None:
        """Describe what is wrong with the cluster now; None while all is well."""
        if self._scheduler is None:
            return None
        now = time.monotonic()
        with self._lock:
            silent = [address for address, (_, changed) in self._workers.items() if now - changed > SILENT_SECONDS]
            count, heard = len(self._workers), self._heard
        if self._client.status != "running" or now - heard > SILENT_SECONDS:
            return f"the scheduler at {self._scheduler} does not answer"
        if silent:
            return f"{'worker' if len(silent) == 1 else 'workers'} {', '.join(sorted(silent)[:3])} {'does' if len(silent) == 1 else 'do'} not answer"
        if not count and now - self._began > SILENT_SECONDS:
            return f"the scheduler at {self._scheduler} has no workers"
        return None

    @property
    def gave_up(self) -> bool:
        """Whether Dask has stopped trying to reach the scheduler."""
        return self._scheduler is not None and self._client.status == "closed"


class Patience:
    """How long a build waits for a cluster in trouble, counted from the trouble or the last result, whichever is
    later.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._said: str | None = None

    def progressed(self) -> None:
        """Begin anew: a result has come."""
        if self._since is not None:
            self._since = time.monotonic()

    def news(self, problem: str | None, *, gave_up: bool = False) -> str | None:
        """What to tell the user about a problem, if it is new. Raises `ClusterLostError` for one that has lasted too
        long, or that was told and Dask gave up.
        """
        if problem is None:
            over, self._since, self._said = self._said is not None, None, None
            return "the cluster answers again" if over else None
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if (gave_up and self._said) or now - self._since > self._seconds:
            raise ClusterLostError(
                f"{problem}, after {self._seconds:g} s of waiting (--patience). What was committed is safe."
            )
        if problem == self._said:
            return None
        self._said = problem
        return f"{problem}; waiting up to {self._seconds:g} s (--patience)"


def within(seconds: float, call: Callable[[], object]) -> bool:
    """Make a call that a stopped process may never answer, in a thread of its own; whether it succeeded in time."""
    done = threading.Event()

    def make() -> None:
        try:
            call()
        except Exception:  # no answer
            return
        done.set()

    threading.Thread(target=make, daemon=True).start()
    return done.wait(seconds)


def while_looking(call: Callable[[], T], look: Callable[[], None], seconds: float = 0.2) -> T:
    """What a call gives or raises that a stopped process may never answer, made in a thread of its own; `look` is
    called every so many seconds until it ends, and may raise.
    """
    answer: Future[T] = Future()

    def make() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=make, daemon=True).start()
    while not wait([answer], seconds).done:
        look()
    return answer.result()


def workers_of(client: Any) -> dict[str, Any]:
    """All workers of a client's scheduler, by address, as the scheduler knows them now. Raises what Dask does where it
    does not answer.

    `client.scheduler_info` keeps its answer where a timer of the client's overwrites it with none of the workers, and
    before Dask 2026.7 it names five of them.
    """
    workers: dict[str, Any] = client.sync(client.scheduler.identity)["workers"]
    return workers


def answers(client: Any, seconds: float = 2.0) -> bool:
    """Whether a client's scheduler answers within a time."""
    return client.status == "running" and within(seconds, partial(workers_of, client))


def known_workers(client: Any, seconds: float = 5.0) -> dict[str, Any]:
    """The workers of a client's scheduler, by address; none where it does not answer within a time."""
    found: dict[str, Any] = {}
    within(seconds, lambda: found.update(workers_of(client)))
    return found
