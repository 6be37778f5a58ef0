"""What the service costs: time beside the recognizer's own, time to start, disk, memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter

from rich.table import Table

from benchmarks.serving_bench import Bench, Target, answer, console, progress, tell
from benchmarks.serving_load import ask, session
from benchmarks.serving_processes import ENVIRONMENT, NotReadyError, disk_usage, program

BLOCK = 20  # pictures that go the same way before the other has its turn: both are measured warm
PAUSE = 0.05  # seconds between blocks: ONNX Runtime's threads spin for a while
FLAT = 0.03  # share by which memory may grow from the middle third of the requests to the last


def overhead(bench: Bench) -> list[Target]:
    """What lies between the recognizer and a caller."""
    requests = min(bench.requests, 2000)
    with bench.served() as service, progress("overhead", requests) as told:
        answer(service, bench, 100, 1)  # first requests allocate memory; a crowd would do more than that
        pairs = asyncio.run(_in_turn(service.address, bench, requests, told))
    with bench.served(cache_answers=2048) as caching, progress("cached answers", requests) as told:
        answer(caching, bench, len(bench.questions), 1)
        cached = answer(caching, bench, requests, 1, told)
    hits = sum(call.known for call in cached.calls)
    through, alone = ([1000 * seconds for seconds in column] for column in pairs)
    added = [one - other for one, other in zip(through, alone, strict=True)]
    table = Table("ms", "median", "quartiles", title=f"overhead: one client, {requests} pictures")
    for name, values in (
        ("the recognizer by itself", alone),
        ("through the service", through),
        ("difference, picture by picture", added),
    ):
        low, middle, high = quantiles(values, n=4)
        table.add_row(name, f"{middle:.2f}", f"{low:.2f} to {high:.2f}")
    table.add_row(
        f"a cached answer ({hits} of {requests} were)",
        f"{cached.milliseconds(0.5):.2f}",
        f"{cached.milliseconds(0.25):.2f} to {cached.milliseconds(0.75):.2f}",
    )
    console.print(table)
    difference = median(through) - median(alone)
    known = cached.milliseconds(0.5)
    return [
        Target("overhead at the median <= 12 ms", f"{difference:.1f} ms", difference <= 12),
        Target("a cached answer at the median <= 10 ms", f"{known:.1f} ms", known <= 10 and hits == requests),
    ]


async def _in_turn(
    address: str, bench: Bench, requests: int, told: Callable[[], None]
) -> tuple[list[float], list[float]]:
    """Seconds through the service and without it, for the same pictures in turn."""
    seconds: dict[str, list[float]] = {"through": [], "alone": []}
    async with session(address, 1) as calling:
        for first in range(0, requests, BLOCK):
            block = range(first, min(first + BLOCK, requests))
            for way in ("through", "alone") if first // BLOCK % 2 else ("alone", "through"):
                await asyncio.sleep(PAUSE)
                for number in block:
                    question = bench.questions[number % len(bench.questions)]
                    if way == "through":
                        call = await ask(calling, question, number)
                        if call.outcome not in ("own", "tie"):
                            raise NotReadyError(f"one client: {call.outcome} {call.note}")
                        seconds[way].append(call.seconds)
                        told()
                    else:
                        begin = perf_counter()
                        bench.recognizer.read_file(question.picture, bench.beam)
                        seconds[way].append(perf_counter() - begin)
    return seconds["through"], seconds["alone"]


def start(bench: Bench) -> list[Target]:
    """How soon it is there, and how much room it takes."""
    seconds, first = [], []
    with progress("start", bench.rounds) as told:
        for number in range(bench.rounds):
            with bench.served() as service:
                run = answer(service, bench, 1, 1, told, number)
                seconds.append(service.seconds)
                first.append(run.calls[0])
    table = Table("start", "")
    table.add_row(
        f"until /readyz is 200, median of {bench.rounds}",
        f"{median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})",
    )
    table.add_row(
        "the first answer after that",
        f"{1000 * median(call.seconds for call in first):.0f} ms, "
        f"{sum(call.status == 200 for call in first)} of {bench.rounds} are 200",
    )
    if ENVIRONMENT.exists():
        table.add_row("size of the serving environment", f"{disk_usage(ENVIRONMENT) / 1e6:.0f} MB")
    table.add_row("served by", ".venv-serve" if ENVIRONMENT in program().parents else "this environment")
    console.print(table)
    return []


def memory(bench: Bench) -> list[Target]:
    """Whether it grows with what has been asked."""
    table = Table("requests", "MB", "processes", title="memory: USS, 32 clients")
    seen: list[tuple[int, float]] = []
    runs, done, last = [], 0, bench.memory_requests
    with bench.served() as service, progress("memory", last) as told:
        for until in sorted({min(1000, last), *range(2000, last + 1, 2000), last}):
            runs.append(answer(service, bench, until - done, 32, told, done))
            done = until
            seen.append((done, service.memory / 1e6))
            table.add_row(f"{done:,}", f"{seen[-1][1]:.1f}", str(len(service.processes)))
    console.print(table)
    tell(service, runs)
    thirds = [[mb for at, mb in seen if low < at / last <= low + 1 / 3] for low in (1 / 3, 2 / 3)]
    if not all(thirds):
        console.print("memory: too few requests to say whether it is flat")
        return []
    earlier, later = map(median, thirds)
    found = f"{later / earlier - 1:+.1%} from the middle third to the last, {seen[-1][1]:.0f} MB in the end"
    return [Target(f"memory flat over {last:,} requests", found, later <= earlier * (1 + FLAT))]
