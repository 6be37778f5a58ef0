"""Callers: they send pictures whose answers are known, all at once, and look at what comes back."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Literal

import aiohttp
import cv2
import numpy as np

from components.data.datasets import LabelledShards, Sample
from components.ink.raster import Picture
from components.recognizer.recognizer import Recognizer

PATIENCE = 120  # seconds until an answer counts as lost
NEAR = 1e-3  # of two readings so near in confidence, a batch's rounding may choose either

# tie: not the known answer, but one that is as good; mixed up: any other answer, be it a stranger's or wrong
Outcome = Literal["own", "tie", "mixed up", "busy", "failed", "lost"]


@dataclass(frozen=True)
class Question:
    """A picture file, and what the recognizer by itself reads there."""

    picture: bytes
    answer: str
    ties: frozenset[str]  # other readings that are as good


@dataclass(frozen=True)
class Call:
    """How one request went."""

    seconds: float
    status: int  # 0: there was no answer
    outcome: Outcome
    note: str = ""  # of what should not be
    known: bool = False  # whether the cache had it


@dataclass(frozen=True)
class Run:
    """How many requests of some callers went."""

    clients: int
    seconds: float
    calls: tuple[Call, ...]
    batches: float  # that the recognizer read
    pictures: float  # in them

    @property
    def per_second(self) -> float:
        """Answers with a formula."""
        return sum(call.status == 200 for call in self.calls) / self.seconds

    @property
    def mean_batch(self) -> float:
        return self.pictures / self.batches if self.batches else float("nan")

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(call.outcome for call in self.calls)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(call.status for call in self.calls)

    @property
    def notes(self) -> Counter[str]:
        return Counter(call.note for call in self.calls if call.note)

    def milliseconds(self, quantile: float) -> float:
        """Of answers with a formula."""
        times = [call.seconds for call in self.calls if call.status == 200]
        return 1000 * float(np.quantile(times, quantile)) if times else float("nan")

    def only(self, *outcomes: Outcome) -> bool:
        """Whether it went no other way than these."""
        return set(self.outcomes) <= set(outcomes)


def collect(shards: Path, recognizer: Recognizer, beam: int, number: int) -> list[Question]:
    """So many pictures of a split, no two of which are read alike; fewer where there are not so many."""
    questions: dict[str, Question] = {}
    for sample in LabelledShards(shards, 4 * number):
        if isinstance(sample, Sample) and len(questions) < number:
            question = _question(png(sample.picture), recognizer, beam)
            questions.setdefault(question.answer, question)
    return list(questions.values())


def png(picture: Picture) -> bytes:
    """A picture as a file."""
    encoded: bytes = cv2.imencode(".png", picture)[1].tobytes()
    return encoded


def _question(picture: bytes, recognizer: Recognizer, beam: int) -> Question:
    best = recognizer.read_file(picture, beam, n_best=beam)
    ties = (other.latex for other in best.alternatives if best.confidence - other.confidence <= NEAR)
    return Question(picture, best.latex, frozenset(ties))


async def ask_all(
    address: str,
    questions: Sequence[Question],
    requests: int,
    clients: int,
    told: Callable[[], None] = lambda: None,
    start: int = 0,
) -> Run:
    """Sends so many requests; each client keeps its connection, and asks again as soon as it has its answer.

    `told` is called after each. `start` is the number of the first question.
    """
    numbers = iter(islice(count(start), requests))
    async with session(address, clients) as calling:
        before, begin = await _batches(calling), time.perf_counter()

        async def caller() -> list[Call]:
            calls = []
            for number in numbers:
                calls.append(await ask(calling, questions[number % len(questions)], number))
                told()
            return calls

        done = await asyncio.gather(*(caller() for _ in range(clients)))
        seconds, after = time.perf_counter() - begin, await _batches(calling)
    calls = tuple(call for several in done for call in several)
    return Run(clients, seconds, calls, after[0] - before[0], after[1] - before[1])


def session(address: str, clients: int) -> aiohttp.ClientSession:
    """Connections to a service, as many as there are clients."""
    return aiohttp.ClientSession(
        address,
        connector=aiohttp.TCPConnector(limit=clients),
        timeout=aiohttp.ClientTimeout(total=PATIENCE),
    )


async def ask(calling: aiohttp.ClientSession, question: Question, number: int) -> Call:
    """Sends one picture and looks at the answer."""
    name = f"call-{number}"
    headers = {"Content-Type": "image/png", "X-Request-ID": name}
    start = time.perf_counter()
    try:
        async with calling.post("/predict?names=letters", data=question.picture, headers=headers) as response:
            content = await response.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Call(time.perf_counter() - start, 0, "lost", f"{type(error).__name__}: {error}")
    seconds, status = time.perf_counter() - start, response.status
    if (echo := response.headers.get("X-Request-ID", name)) != name:
        return Call(seconds, status, "mixed up", f"the answer to {echo} came to {name}")
    if status == 503 and "Retry-After" in response.headers:
        return Call(seconds, status, "busy")
    if status != 200:
        return Call(seconds, status, "failed", f"{status}: {content[:200].decode(errors='replace')}")
    known = response.headers.get("X-Cache") == "hit"
    formula = json.loads(content)["formula"]
    if formula == question.answer:
        return Call(seconds, status, "own", known=known)
    if formula in question.ties:
        return Call(seconds, status, "tie", known=known)
    return Call(seconds, status, "mixed up", f"{formula!r} instead of {question.answer!r}", known)


async def _batches(calling: aiohttp.ClientSession) -> tuple[float, float]:
    """Batches that the recognizer has read, and pictures in them; zeros where nobody counts."""
    async with calling.get("/metrics") as response:
        page = await response.text() if response.status == 200 else ""
    found = dict(_BATCHES.findall(page))
    return float(found.get("count", 0)), float(found.get("sum", 0))


_BATCHES = re.compile(r"^ocr_batch_pictures_(count|sum)(?:\{\})? (\S+)$", re.MULTILINE)


def in_turn(total: int, rounds: int) -> Iterator[tuple[int, int]]:
    """The first number and the count of each of so many rounds."""
    edges = [total * number // rounds for number in range(rounds + 1)]
    return ((first, last - first) for first, last in pairwise(edges))
