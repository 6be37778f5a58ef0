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
from bentoml._internal.marshal.dispatcher import Optimizer

from components.ink.raster import Picture
from components.recognizer.recognizer import Reading, Recognizer
from components.serving.inference.client import Alternative, Job, Looked, Read
from components.serving.observability import metrics

logger = logging.getLogger(__name__)

_PATIENCE = 60  # seconds


def read_all(recognizer: Recognizer, jobs: Sequence[Job]) -> list[Read]:
    """Reads jobs, those with the same options together. Never raises: one bad job must not spoil others."""
    start = time.perf_counter()
    alike: dict[tuple[int, int, bool], list[int]] = defaultdict(list)
    for index, job in enumerate(jobs):
        alike[job.beam, job.n_best, job.explain].append(index)
    results: dict[int, Read] = {}
    for options, indices in alike.items():
        pictures = [jobs[index].picture for index in indices]
        results.update(zip(indices, _readings(recognizer, pictures, *options), strict=True))
    metrics.batch.observe(len(jobs))
    metrics.phases.labels("recognise").observe((time.perf_counter() - start) / max(len(jobs), 1))
    return [results[index] for index in range(len(jobs))]


def _readings(
    recognizer: Recognizer, pictures: list[Picture], beam: int, n_best: int, explain: bool
) -> list[Read]:
    """Reads pictures together, or each alone where that fails: the others are not to blame."""
    try:
        return [_read(reading) for reading in recognizer.read(pictures, beam, n_best, explain)]
    except Exception as error:
        if len(pictures) > 1:
            return [_readings(recognizer, [picture], beam, n_best, explain)[0] for picture in pictures]
        logger.exception("a picture of %s pixels could not be read", pictures[0].shape)
        return [Read(error=type(error).__name__)]


def _read(reading: Reading) -> Read:
    return Read(
        formula=reading.latex,
        tokens=len(reading.tokens),
        confidence=reading.confidence,
        alternatives=tuple(
            Alternative(formula=a.latex, confidence=a.confidence) for a in reading.alternatives
        ),
        looked=None if reading.looked is None else tuple(Looked(**vars(look)) for look in reading.looked),
    )


def stop_guessing() -> None:
    """Makes BentoML's dispatcher send what has gathered once the recogniser is free, and refuse by the clock.

    Left alone it holds requests back, hoping for company, for as long as requests have waited lately: after a
    crowd, a lone caller waits as long as the crowd did (212 ms in place of 20), and so keeps the mean up for
    minutes. Batches form all the same: while one is read, the next gathers.

    It also draws a line through the latest batches' sizes and durations, to foresee who would wait too long.
    Where most were of one size, one hiccup tilts it until a queue of 30 seems to take 15 s, and callers who
    would have had their answer after one are refused. Now those are who have waited too long.
    """
    for guess in ("wait", "o_a", "o_b"):
        setattr(Optimizer, guess, property(lambda self: 0.0, lambda self, seconds: None))


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
