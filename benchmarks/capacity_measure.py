"""Measured service times of one core, and a real run of replicas to hold the model against."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import cv2
import httpx
import numpy as np
import psutil

from benchmarks.capacity_model import ServiceTimes
from benchmarks.serving_load import Call, Question, ask, ask_all, session
from benchmarks.serving_processes import Measured, ours
from components.ink.inkml import read_inkml
from components.ink.raster import RasterSettings, draw
from components.recognizer.orientation import Views
from components.recognizer.preprocessing import prepare_picture
from components.recognizer.recognizer import Recognizer

SIZES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Observed:
    """How a real run went, and what it was."""

    replicas: int
    rate: float  # requests a second
    seconds: tuple[float, ...]  # of answers
    failed: int
    arrivals: tuple[tuple[float, int], ...]  # when each request was sent, seconds, and to which replica
    counted_from: float  # seconds; those before found an empty service
    stretch: float  # how much longer a batch took than on a core of its own: others use the machine as well

    def quantile(self, share: float) -> float:
        return float(np.quantile(self.seconds, share))


def pictures(folder: Path, count: int) -> list[bytes]:
    """So many PNG files, drawn from the InkML files of a folder, each a little wider than the last."""
    inks = [read_inkml(path) for path in sorted(folder.glob("*.inkml"))]
    found = []
    for number in range(count):
        stretch = np.array([1 + 0.2 * number / count, 1], np.float32)
        strokes = tuple(stroke * stretch for stroke in inks[number % len(inks)].strokes)
        found.append(cv2.imencode(".png", draw(strokes, RasterSettings()))[1].tobytes())
    return found


def questions(recognizer: Recognizer, files: Sequence[bytes], beam: int | None) -> list[Question]:
    """The pictures with the answers that a service must give."""
    return [Question(file, recognizer.read_file(file, beam).latex, frozenset()) for file in files]


@contextmanager
def one_core(core: int) -> Iterator[None]:
    """This process, and what it starts meanwhile, runs on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def batch_times(
    recognizer: Recognizer, files: Sequence[bytes], rounds: int, beam: int | None
) -> dict[int, tuple[float, ...]]:
    """Processor seconds of reading random batches of each size; sizes take turns."""
    views: list[Views] = [prepare_picture(file, recognizer.settings.raster) for file in files]
    chance = random.Random(0)
    times: dict[int, list[float]] = {size: [] for size in SIZES}
    recognizer.read_views(views[:16], beam)  # warm up
    for _ in range(rounds):
        for size in SIZES:
            batch = chance.sample(views, size)
            start = time.process_time()
            recognizer.read_views(batch, beam)
            times[size].append(time.process_time() - start)
    return {size: tuple(round(seconds, 6) for seconds in found) for size, found in times.items()}


def measure(
    model: Path, recognizer: Recognizer, asked: Sequence[Question], rounds: int, beam: int | None
) -> ServiceTimes:
    """Measure the service times; of a request what its processes use beside reading, one client at a time.

    Processor time, not the clock's: others on the machine do not change it much.
    """
    settings = {} if beam is None else {"beam": beam}
    with one_core(0):
        batches = batch_times(recognizer, [question.picture for question in asked], rounds, beam)
        with replicas_of(model, 1, **settings) as [service]:
            whole = _per_request(service, asked, 2 * len(asked))
        with replicas_of(model, 1, cache_answers=2048, **settings) as [service]:
            _per_request(service, asked, len(asked))
            hit = _per_request(service, asked, 2 * len(asked))
    return ServiceTimes(round(max(0.0, whole - float(np.mean(batches[1]))), 6), round(hit, 6), batches)


def _per_request(service: Measured, asked: Sequence[Question], count: int) -> float:
    """Processor seconds of a service's processes for each request of one client."""
    asyncio.run(ask_all(service.address, asked, 20, 1))
    before = _processor(service.processes)
    asyncio.run(ask_all(service.address, asked, count, 1))
    return (_processor(service.processes) - before) / count


def _processor(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


@contextmanager
def replicas_of(model: Path, count: int, **settings: int) -> Iterator[list[Measured]]:
    """So many replicas, each on a core of its own."""
    with ExitStack() as running:
        services = []
        for core in range(count):
            service = ours(model, threads=1, **settings)
            with one_core(core % os.cpu_count()):  # type: ignore[operator]
                services.append(running.enter_context(service))
        yield services


def observe(
    services: Sequence[Measured],
    asked: Sequence[Question],
    times: ServiceTimes,
    rate: float,
    seconds: float,
    seed: int = 0,
) -> Observed:
    """Send requests at random times, each to a random replica, whether others are answered or not."""
    before = [_batches(service) for service in services]
    calls, arrivals = asyncio.run(_calls(services, asked, rate, seconds, random.Random(seed)))
    read = [(after[0] - old[0], after[1] - old[1]) for old, after in
            zip(before, map(_batches, services), strict=True)]  # fmt: skip
    counts, took = sum((count for count, _ in read), start=Counter[int]()), sum(time for _, time in read)
    usual = sum(count * float(np.mean(times.nearest(size))) / size for size, count in counts.items())
    first = len(calls) // 10
    answered = tuple(call.seconds for call in calls[first:] if call.status == 200)
    failed = len(calls) - first - len(answered)
    return Observed(len(services), rate, answered, failed, tuple(arrivals), arrivals[first][0], took / usual)


def _batches(service: Measured) -> tuple[Counter[int], float]:
    """The batches that a replica has read, by size (rounded up to one of Prometheus' buckets), and the sum of
    what a picture took in each."""
    page = httpx.get(f"{service.address}/metrics", timeout=60).text
    up_to = [(float(bound), float(value)) for bound, value in _SIZE.findall(page)]
    counts = Counter({int(bound): round(value - before) for (bound, value), before in
                      zip(up_to, [0.0, *(value for _, value in up_to)], strict=False)
                      if math.isfinite(bound)})  # fmt: skip
    return counts, sum(map(float, _TOOK.findall(page)))


_SIZE = re.compile(r'^ocr_batch_pictures_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
_TOOK = re.compile(r'^ocr_phase_seconds_sum\{phase="recognize"\} (\S+)$', re.MULTILINE)


async def _calls(
    services: Sequence[Measured],
    asked: Sequence[Question],
    rate: float,
    seconds: float,
    chance: random.Random,
) -> tuple[list[Call], list[tuple[float, int]]]:
    following = cycle(asked)
    async with asyncio.TaskGroup() as group:
        sessions = [session(service.address, 256) for service in services]
        start, at = time.perf_counter(), 0.0
        tasks: list[asyncio.Task[Call]] = []
        arrivals: list[tuple[float, int]] = []
        while at < seconds:
            at += chance.expovariate(rate)
            await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
            to = chance.randrange(len(sessions))
            calling = sessions[to]
            arrivals.append((time.perf_counter() - start, to))
            tasks.append(group.create_task(ask(calling, next(following), len(tasks))))
        calls = [await task for task in tasks]
        for each in sessions:
            await each.close()
    return calls, arrivals


def save(times: ServiceTimes, about: str, path: Path) -> None:
    """Write measured times as JSON."""
    content = {"about": about, **asdict(times)}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> ServiceTimes:
    """Read measured times. Raises OSError, and ValueError for what are none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        batches = {int(size): tuple(found) for size, found in content["batches"].items()}
        return ServiceTimes(content["request"], content["hit"], batches)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no measured times: {error}") from None
