"""The other side of the desk: reads what the dispatcher has put together, a result for each job."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from threading import Thread
from types import FrameType

import psutil

from components.recognizer.recognizer import Reading, Recognizer
from components.serving import measures
from components.serving.desk import Alternative, Job, Read

logger = logging.getLogger(__name__)

_PATIENCE = 60  # seconds


def read_all(recognizer: Recognizer, jobs: Sequence[Job]) -> list[Read]:
    """Reads jobs, those with the same options together. Never raises: one bad job must not spoil others."""
    start = time.perf_counter()
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, job in enumerate(jobs):
        alike[job.beam, job.n_best].append(index)
    results: dict[int, Read] = {}
    for (beam, n_best), indices in alike.items():
        try:
            readings = recognizer.read([jobs[index].picture for index in indices], beam, n_best)
            results.update(zip(indices, map(_read, readings), strict=True))
        except Exception as error:
            logger.exception("a batch of %d failed", len(indices))
            results.update(dict.fromkeys(indices, Read(error=type(error).__name__)))
    measures.batch.observe(len(jobs))
    measures.phases.labels("recognise").observe((time.perf_counter() - start) / max(len(jobs), 1))
    return [results[index] for index in range(len(jobs))]


def _read(reading: Reading) -> Read:
    return Read(
        formula=reading.latex,
        tokens=len(reading.tokens),
        confidence=reading.confidence,
        alternatives=tuple(
            Alternative(formula=a.latex, confidence=a.confidence) for a in reading.alternatives
        ),
    )


def leave_last() -> None:
    """Makes this process, when told to end, wait for those of the same service that still need it.

    The supervisor tells all processes to end at once; requests that the API has accepted would lose the
    recogniser that they wait for. Call it once the server has set its own handlers, in the main thread.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        usual = signal.getsignal(number)

        def later(number: int, frame: FrameType | None, usual: object = usual) -> None:
            def wait() -> None:
                _, alive = psutil.wait_procs(_siblings(), timeout=_PATIENCE)
                if alive:
                    logger.error("ending with requests under way, after %d s", _PATIENCE)
                if callable(usual):
                    usual(number, None)

            Thread(target=wait, daemon=True).start()

        signal.signal(number, later)


def _siblings() -> list[psutil.Process]:
    """The other workers that this process's supervisor started."""
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
