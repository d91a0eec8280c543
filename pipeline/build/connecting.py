"""Connecting to the place where tasks run: threads of this process, or a cluster whose workers run the same code."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from timbre_data.pipeline.build.machine import allow_open_files
from timbre_data.pipeline.build.provenance import fingerprint
from timbre_data.pipeline.build.watching import answers, workers_of
from timbre_data.schemas.errors import ClusterLostError, UsageError

if TYPE_CHECKING:
    from timbre_data.pipeline.build.engine import Cluster


@contextmanager
def dask_client(cluster: Cluster) -> Iterator[Any]:
    """A Dask client: of the given scheduler, or of threads in this process."""
    allow_open_files()
    import dask
    from distributed import Client, LocalCluster

    if cluster.scheduler:
        for name in ("asyncio", *(one for one in logging.root.manager.loggerDict if one.startswith("distributed"))):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # a lost scheduler is told in one line of ours
        try:
            client = Client(cluster.scheduler, timeout="5s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {cluster.scheduler} ({type(error).__name__}): start one with 'dask scheduler'."
            ) from None
        try:
            if not workers_of(client):
                raise UsageError(
                    f"the scheduler at {cluster.scheduler} has no workers: start some with 'dask worker {cluster.scheduler}'."
                )
            _check_workers(client, cluster)
            client._timeout = max(cluster.patience, 1.0)  # for which Dask tries to reach a lost scheduler again
            yield client
        finally:
            client.close(timeout=5 if answers(client) else 1)
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
                dashboard_address=":0",  # without one, Dask takes the port that everybody else wants
                scheduler_kwargs={"dashboard": False},
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
    _forget_closed_servers()


def _forget_closed_servers() -> None:
    """Dask remembers methods of every scheduler and worker that it ever started, and so keeps them all in memory:
    a quarter of a megabyte for each build of one process.
    """
    import distributed.core

    remembered = getattr(distributed.core, "_expects_comm", None)
    if remembered is not None and hasattr(remembered, "cache_clear"):
        remembered.cache_clear()


def check_cluster(cluster: Cluster) -> None:
    """Raise what is wrong with a scheduler and its workers, before anything is written for a build on them."""
    if cluster.scheduler:
        with dask_client(cluster):
            pass


def _check_workers(client: Any, cluster: Cluster) -> None:
    """Raise `ClusterLostError` for a worker that cannot run this package, or runs other code."""
    for worker, made_by in sorted(client.run(fingerprint, on_error="return").items()):
        if not isinstance(made_by, dict):
            raise ClusterLostError(
                f"worker {worker} cannot run timbre-data ({type(made_by).__name__}: {str(made_by).splitlines()[0]}): install there what is installed here."
            )
        if not cluster.allow_mixed:
            refuse_other_code(worker, made_by)


def refuse_other_workers(client: Any, cluster: Cluster, workers: list[str]) -> None:
    """Raise `ClusterLostError` for workers that joined with other code."""
    if cluster.allow_mixed:
        return
    for worker, made_by in sorted(client.run(fingerprint, workers=workers, on_error="return").items()):
        if isinstance(made_by, ImportError):
            refuse_other_code(worker, {})
        elif isinstance(made_by, dict):
            refuse_other_code(worker, made_by)


def refuse_other_code(worker: str, made_by: dict[str, str]) -> None:
    """Raise `ClusterLostError` for a worker whose fingerprint is not that of this client, with both named."""
    differences = [
        f"{key} {made_by.get(key, 'none')} there, {value} here"
        for key, value in fingerprint().items()
        if made_by.get(key, "none") != value
    ]
    if differences:
        raise ClusterLostError(
            f"{worker} runs other code than this client ({'; '.join(differences[:4])}): install the same there, or allow it with --allow-mixed."
        )
