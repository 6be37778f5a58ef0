"""What all sections of the serving benchmark share: what is measured, and how it is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.serving_load import Question, Run, ask_all
from benchmarks.serving_processes import Measured, ours
from components.recognizer.recognizer import Recognizer

console = Console()


@dataclass(frozen=True)
class Target:
    """What is wanted, and what was found."""

    wanted: str
    found: str
    met: bool


@dataclass(frozen=True)
class Bench:
    """What all sections work with."""

    model: Path  # in BentoML's store
    checkpoint: Path
    recognizer: Recognizer
    questions: Sequence[Question]
    beam: int
    threads: int
    requests: int
    rounds: int
    memory_requests: int

    def served(self, **settings: str | int) -> Measured:
        """The service, not started yet."""
        return ours(self.model, **{"beam": self.beam, "threads": self.threads} | settings)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar that is gone in the end; yields what moves it on by one."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def warm(service: Measured, bench: Bench) -> None:
    """First requests allocate memory and open connections."""
    asyncio.run(ask_all(service.address, bench.questions, 100, 8))


def answer(
    service: Measured,
    bench: Bench,
    requests: int,
    clients: int,
    told: Callable[[], None] = lambda: None,
    start: int = 0,
) -> Run:
    """Sends requests, and waits for all answers."""
    return asyncio.run(ask_all(service.address, bench.questions, requests, clients, told, start))


def runs_table(title: str) -> Table:
    """A table of how runs went."""
    right = ("requests/s", "median ms", "p95", "p99", "mean batch")
    table = Table("clients", title=title)
    for column in right:
        table.add_column(column, justify="right")
    table.add_column("statuses")
    table.add_column("answers")
    return table


def add(table: Table, name: str, run: Run) -> None:
    """A row of such a table."""
    times = (f"{run.milliseconds(q):.1f}" for q in (0.5, 0.95, 0.99))
    statuses = ", ".join(f"{status or 'none'}: {n}" for status, n in sorted(run.statuses.items()))
    table.add_row(name, f"{run.per_second:.1f}", *times, f"{run.mean_batch:.1f}", statuses, outcomes(run))


def outcomes(run: Run) -> str:
    """How many answers were what."""
    return ", ".join(f"{outcome}: {n}" for outcome, n in run.outcomes.most_common())


def tell(service: Measured, runs: Sequence[Run]) -> None:
    """What should not be, once the service has ended: faults that callers saw, and errors that it logged."""
    faults = sum((run.notes for run in runs), start=Counter[str]())
    for note, times in faults.most_common(5):
        console.print(f"  {times} × {note}", markup=False)
    if service.errors:
        console.print(
            f"  {len(service.errors)} errors in its log; the first: {service.errors[0]}", markup=False
        )
