"""How much the service gets done, and whether everybody gets the right answer meanwhile."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from rich.table import Table

from benchmarks.serving_bench import (
    Bench,
    Target,
    add,
    answer,
    console,
    outcomes,
    progress,
    runs_table,
    tell,
    warm,
)
from benchmarks.serving_load import Run, in_turn
from benchmarks.serving_processes import plain

CLIENTS = (1, 8, 32, 64)
AFTER = 500  # requests of one client, once the others are gone
PLACES = 8  # in the queue, where there is too much to do


def load(bench: Bench) -> list[Target]:
    """Requests of more and more clients."""
    table = runs_table("load: batches, all callers at once")
    targets, runs = [], []
    total = len(CLIENTS) * bench.requests + AFTER
    with bench.served() as service, progress("load", total) as told:
        answer(service, bench, 100, 1)  # first requests allocate memory; a crowd would do more than that
        for clients in CLIENTS:
            run = answer(service, bench, bench.requests, clients, told)
            add(table, str(clients), run)
            runs.append(run)
            good = run.only("own", "tie")
            targets.append(Target(f"{clients} client{'s' * (clients > 1)}: own answers", outcomes(run), good))
            if clients == 32:
                found = f"{run.mean_batch:.1f}"
                targets.append(Target("32 clients: mean batch > 4", found, run.mean_batch > 4))
        # What the dispatcher has learned from a crowd must not keep who comes next waiting.
        run = answer(service, bench, AFTER, 1, told)
        add(table, "1, after these", run)
        runs.append(run)
    console.print(table)
    tell(service, runs)
    before, after = runs[0].milliseconds(0.5), run.milliseconds(0.5)
    found = f"{before:.1f} ms before, {after:.1f} ms after"
    return [
        *targets,
        Target("1 client after a crowd: at most 1.5 times the median before it", found, after < 1.5 * before),
    ]


def batching(bench: Bench) -> list[Target]:
    """Whether it is batches that make it fast."""
    names = ("batches", "one at a time")
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with ExitStack() as stack:
        services = [stack.enter_context(bench.served(**s)) for s in ({}, {"batch_size": 1})]
        for service in services:
            warm(service, bench)
        told = stack.enter_context(progress("batching", 2 * bench.requests))
        for start, requests in in_turn(bench.requests, bench.rounds):
            for name, service in zip(names, services, strict=True):
                runs[name].append(answer(service, bench, requests, 32, told, start))
    table = runs_table(f"batching: 32 clients, {bench.rounds} rounds in turn")
    for name, several in runs.items():
        for number, run in enumerate(several, 1):
            add(table, f"{name}, {number}", run)
    console.print(table)
    for service, several in zip(services, runs.values(), strict=True):
        tell(service, several)
    together, alone = (median(run.per_second for run in several) for several in runs.values())
    found = f"{together / alone:.2f} ({together:.0f} and {alone:.0f} requests/s, medians of rounds)"
    good = all(run.only("own", "tie") for several in runs.values() for run in several)
    wrong = "all own" if good else "see above"
    return [
        Target("batches: throughput >= 1.5 times that of one at a time", found, together >= 1.5 * alone),
        Target("batches, one at a time: own answers", wrong, good),
    ]


def overload(bench: Bench) -> list[Target]:
    """More callers than places; nobody waits before asking again."""
    table = runs_table(f"overload: 64 clients, {PLACES} places in the queue")
    with bench.served(max_queue=PLACES) as service, progress("overload", bench.requests) as told:
        warm(service, bench)
        run = answer(service, bench, bench.requests, 64, told)
        add(table, "64", run)
        after = answer(service, bench, 20, 1)
        add(table, "1, afterwards", after)
    console.print(table)
    tell(service, [run, after])
    return [
        Target(
            "overload: own answers, or 503 with Retry-After", outcomes(run), run.only("own", "tie", "busy")
        ),
        Target("after overload: answers again", outcomes(after), after.only("own", "tie")),
    ]


def plainly(bench: Bench) -> list[Target]:
    """Beside what anybody would write first. It searches with one beam, so one of ours does as well."""
    requests = min(bench.requests, 1000)
    runs: dict[tuple[str, int], list[Run]] = {}
    with ExitStack() as stack:
        services = {
            f"ours, {bench.beam} beams": stack.enter_context(bench.served()),
            "ours, 1 beam": stack.enter_context(bench.served(beam=1)),
            "FastAPI and PyTorch, 1 beam": stack.enter_context(plain(bench.checkpoint)),
        }
        for service in services.values():
            warm(service, bench)
        told = stack.enter_context(progress("plain", 2 * requests * len(services)))
        for start, number in in_turn(requests, bench.rounds):
            for clients in (1, 8):
                for name, service in services.items():
                    run = answer(service, bench, number, clients, told, start)
                    runs.setdefault((name, clients), []).append(run)
    table = Table(
        "", "ms, 1 client", "requests/s, 8 clients", "ms, 8 clients",
        f"answers as {bench.beam} beams give", title=f"plain: medians of {bench.rounds} rounds in turn",
    )  # fmt: skip
    for name in services:
        one, eight = runs[name, 1], runs[name, 8]
        both = [call for run in one + eight for call in run.calls]
        table.add_row(
            name,
            f"{median(run.milliseconds(0.5) for run in one):.1f}",
            f"{median(run.per_second for run in eight):.1f}",
            f"{median(run.milliseconds(0.5) for run in eight):.1f}",
            f"{sum(call.outcome in ('own', 'tie') for call in both) / len(both):.1%}",
        )
    console.print(table)
    return []
