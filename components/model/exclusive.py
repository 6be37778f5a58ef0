"""One trainer a working folder: another waits outside, and one that a killed DVC has left is ended."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

_LOCK, _HOLDER = "trainer.lock", "trainer.json"
_PATIENCE = 10.0  # seconds for an orphan to end, and for its lock to be free


class TrainerRunsError(ValueError):
    """Another trainer runs in the folder; the message names its process."""


@contextmanager
def only_trainer(folder: Path) -> Iterator[None]:
    """Hold the folder's trainer lock.

    A trainer whose `dvc` was killed (`kill -9` does not reach its children) is ended first: what it trains
    is trained here. Raises TrainerRunsError where the other one is wanted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _end_orphan(folder)
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout:
            raise TrainerRunsError(f"{folder}: another trainer is still ending; try again") from None
    try:
        (folder / _HOLDER).write_text(json.dumps({"pid": os.getpid(), "dvc": _dvc_above()}), encoding="utf-8")
        yield
    finally:
        lock.release()


def _end_orphan(folder: Path) -> None:
    """End the lock's holder if DVC had started it and is gone. Raises TrainerRunsError."""
    try:
        holder = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        pid, dvc = int(holder["pid"]), holder["dvc"]
    except (OSError, ValueError, KeyError, TypeError):
        raise TrainerRunsError(f"{folder}: another trainer is starting; try again") from None
    if dvc is None or _runs(*dvc):
        raise TrainerRunsError(f"process {pid} trains in {folder} already: wait for it, or end it")
    print(f"train: ending process {pid}, a trainer that a killed dvc has left", file=sys.stderr, flush=True)
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        if member.is_running():
            member.kill()
    psutil.wait_procs(family, timeout=_PATIENCE)


def _dvc_above() -> tuple[int, float] | None:
    """The `dvc` that started this process, and when it began: numbers of processes are used again."""
    for ancestor in psutil.Process().parents():
        try:
            if any(Path(word).name == "dvc" for word in ancestor.cmdline()[:4]):
                return ancestor.pid, ancestor.create_time()
        except psutil.Error:
            continue
    return None


def _runs(pid: int, began: float) -> bool:
    try:
        return psutil.Process(pid).create_time() == began
    except psutil.NoSuchProcess:
        return False
