"""One retraining at a time: in a working folder, and among the machines that share a Prefect server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = Path(".dvc/tmp/retraining.lock")  # released by the system when its holder dies
LIMIT = "handwriting-retraining"  # Prefect's global concurrency limit

_LEASE = 60.0  # seconds, Prefect's least: after so long the slot of a machine that died is free
_PATIENCE = 150.0  # seconds: of a machine that died, the slot is waited for


class BusyError(RuntimeError):
    """Somebody else is retraining; the message says where to look."""


@contextmanager
def folder_lock() -> Iterator[None]:
    """Hold the lock of this working folder. Raises BusyError where another process holds it."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError("another retraining is running in this folder") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def server_lock() -> Iterator[None]:
    """Hold the one slot of LIMIT on the server of PREFECT_API_URL; without a server, nothing.

    Raises BusyError where another machine holds it, and RuntimeError where the server can't tell.
    """
    if not os.environ.get("PREFECT_API_URL"):
        yield
        return
    from prefect.client.orchestration import get_client
    from prefect.concurrency.sync import concurrency
    from prefect.exceptions import ObjectAlreadyExists

    # Two machines may create it at once: then the other has.
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.upsert_global_concurrency_limit_by_name(LIMIT, 1)
    # A server that is away for a while must not end a training of hours: hence no error at renewals.
    slot = concurrency(
        LIMIT,
        timeout_seconds=_PATIENCE,
        lease_duration=_LEASE,
        strict=True,
        raise_on_lease_renewal_failure=False,
    )
    try:
        slot.__enter__()
    except TimeoutError:
        raise BusyError(
            "a retraining is running on another machine; "
            f"`prefect global-concurrency-limit inspect {LIMIT}` shows its slot"
        ) from None
    try:
        yield
    finally:
        slot.__exit__(None, None, None)
