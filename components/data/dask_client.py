"""A Dask client: processes of this machine, or a cluster."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cloudpickle
import fsspec
from dask.distributed import Client, LocalCluster
from dask.system import CPU_COUNT

import components
from components.config import ComputeParams

_PATIENCE = 30.0  # seconds
_PACKAGE = "components"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of each file in the archive of the code: equal code, equal archive


class ClusterError(RuntimeError):
    """The cluster of params.yaml is unusable; the message names the field."""


@contextmanager
def connect(compute: ComputeParams, tasks: int) -> Iterator[Client]:
    """Open a Dask client for about `tasks` tasks; processes that it starts end with it.

    The workers of a scheduler are given this code, also those that come later. Raises ClusterError where it
    does not answer or has no workers.
    """
    if compute.scheduler != "processes":
        with _connected(compute.scheduler) as client:
            _ship_code(client)
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


def probe(client: Client, where: str, module: str) -> None:
    """Check that each worker can import a module of this code, and read and write at `where`.

    `where` is an address or an absolute path. Raises ClusterError, which names the workers that can't, and
    why.
    """
    token = f".probe-{secrets.token_hex(8)}"
    with fsspec.open(f"{where}/{token}", "wb", auto_mkdir=True) as file:
        file.write(token.encode())
    files = fsspec.core.url_to_fs(where, use_listings_cache=False)[0]
    with _by_value():
        faults = dict(client.run(_try, where, token, module))
    for worker in faults.keys() - {worker for worker, fault in faults.items() if fault}:
        if not files.exists(f"{where}/{token}{_suffix(worker)}"):
            faults[worker] = f"writes {where} where nobody else sees it"
    for name in (token, *(f"{token}{_suffix(worker)}" for worker in faults)):
        if files.exists(f"{where}/{name}"):
            files.rm(f"{where}/{name}")
    if told := "; ".join(f"worker {worker} {fault}" for worker, fault in faults.items() if fault):
        raise ClusterError(
            f"compute.scheduler: {told}. Install the same requirements on all workers, and set "
            "compute.storage to an address that they and this machine reach"
        )


def _ship_code(client: Client) -> None:
    """Put this code first on the path of the scheduler, which reads tasks too, and of all workers, also
    those that come later."""
    with TemporaryDirectory() as folder:
        archive = _archive(Path(folder))
        client.upload_file(str(archive))
        with _by_value():
            client.run_on_scheduler(_forget, _PACKAGE, archive.name)
            client.run(_forget, _PACKAGE, archive.name)


def _archive(folder: Path) -> Path:
    """Pack the package's modules; the archive's name tells one state of the code from another."""
    source = Path(components.__path__[0])
    files = {path.relative_to(source.parent).as_posix(): path for path in sorted(source.rglob("*.py"))}
    total = hashlib.sha256()
    for name, path in files.items():
        total.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    archive = folder / f"{_PACKAGE}-{total.hexdigest()[:16]}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in files.items():
            packed.writestr(zipfile.ZipInfo(name, _EPOCH), path.read_bytes())
    return archive


@contextmanager
def _by_value() -> Iterator[None]:
    """Send functions of this module by value: workers may lack the module, or have an old one."""
    this = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(this)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(this)


def _forget(package: str, archive: str) -> None:
    """Let a worker import those modules of the package anew that it has imported from elsewhere."""
    import sys

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package and archive not in str(getattr(module, "__file__", archive)):
            del sys.modules[name]
    for path in [path for path in sys.path if path.endswith(archive)][:1]:
        sys.path.insert(0, path)


def _try(where: str, token: str, module: str, dask_worker: Any) -> str:
    """Return what a worker can't do, or nothing. Any reason counts: the caller names it."""
    import importlib

    import fsspec

    try:
        importlib.import_module(module)
    except Exception as error:
        return f"can't import {module}: {type(error).__name__}: {error}"
    try:
        with fsspec.open(f"{where}/{token}", "rb") as file:
            if file.read() != token.encode():
                return f"reads something else at {where}"
        with fsspec.open(f"{where}/{token}{_suffix(dask_worker.address)}", "wb") as file:
            file.write(token.encode())
    except Exception as error:
        return f"can't read and write {where}: {type(error).__name__}: {error}"
    return ""


def _suffix(worker: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in worker)
