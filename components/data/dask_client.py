"""A Dask client: processes of this machine, or a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dask.distributed import Client, LocalCluster
from dask.system import CPU_COUNT

from components.config import ComputeParams

_PATIENCE = 30.0  # seconds


class ClusterError(RuntimeError):
    """The cluster of params.yaml is unusable; the message names the field."""


@contextmanager
def connect(compute: ComputeParams, tasks: int) -> Iterator[Client]:
    """Open a Dask client for about `tasks` tasks; processes that it starts end with it.

    Raises ClusterError where a scheduler does not answer or has no workers.
    """
    if compute.scheduler != "processes":
        with _connected(compute.scheduler) as client:
            yield client
        return
    workers = max(1, min(compute.workers or CPU_COUNT, tasks))
    with _own_environment():
        local = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=workers > 1,  # a single worker needs no process, which takes seconds to start
            memory_limit=0,  # tasks are small; other processes' memory must not pause a worker
            protocol="tcp://",
            host="127.0.0.1",  # not reachable from outside: its HTTP server runs even without a dashboard
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # any free port: other clusters may run
        )
    with local, Client(local) as client:
        yield client


@contextmanager
def _own_environment() -> Iterator[None]:
    """Undo what Dask sets in this process for its workers, OMP_NUM_THREADS=1 among it.

    A process started later would inherit it, and train to other bits than one with all threads.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _connected(address: str) -> Client:
    try:
        client = Client(address, timeout=_PATIENCE)
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:  # the only error of `wait_for_workers`
        raise ClusterError(f"compute.scheduler: the Dask scheduler {address} has no workers") from None
    except OSError as error:
        raise ClusterError(f"compute.scheduler: no Dask scheduler answers at {address} ({error})") from None
    return client
