"""Requests that the API has accepted are answered before the service ends."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from threading import Thread
from types import FrameType
from typing import Any

import psutil

logger = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 60


def keep_sockets_until_stopped() -> None:
    """Make BentoML's supervisor remove the recognizer's socket when its processes have ended, not before.

    `Arbiter.stop` removes the folder of the sockets first and then tells the processes to end: an accepted
    request that needs one more connection to the recognizer finds no socket. Call this in the supervisor.
    """
    from bentoml._internal.utils.circus import Arbiter  # not at the top: the supervisor alone needs it

    def start(self: Arbiter, cb: Callable[[Any], Any] | None = None) -> None:
        with self.exit_stack:
            ended = super(Arbiter, self).start(cb)  # until it was told to stop and has stopped its processes
        if error := ended.exception():
            raise error

    def stop(self: Arbiter) -> Any:
        return super(Arbiter, self).stop()

    Arbiter.start, Arbiter.stop = start, stop  # type: ignore[method-assign]


def defer_shutdown() -> None:
    """Defer shutdown until the API workers that depend on this process have exited.

    The supervisor signals all processes at once; requests that the API has accepted would lose the worker
    that they wait for. Call this in the main thread, after the server has installed its own handlers.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)

        def later(number: int, frame: FrameType | None, handler: object = handler) -> None:
            def wait() -> None:
                _, alive = psutil.wait_procs(_siblings(), timeout=_SHUTDOWN_SECONDS)
                if alive:
                    logger.error("shutting down with requests in flight, after %d s", _SHUTDOWN_SECONDS)
                if callable(handler):
                    handler(number, None)

            Thread(target=wait, daemon=True).start()

        signal.signal(number, later)


def _siblings() -> list[psutil.Process]:
    """The other workers of this process's supervisor."""
    me = psutil.Process()
    parent = me.parent()
    if parent is None:
        return []
    return [process for process in parent.children() if process.pid != os.getpid() and _is_worker(process)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "_bentoml_impl.worker.service" in process.cmdline()
    except psutil.Error:
        return False
