"""What the service does under load, what it costs, and whether the targets are met.

    python -m benchmarks.serving [--only load batching …] [--requests 5000] [--project FOLDER]

Serves the registered model as `make serve` does, open to all, without limits and without cache, on this
machine, which the callers share. Callers send pictures of the test split, no two of which are read alike, and
look whether each gets its own formula. What is compared runs in turn, several rounds: machines are noisy.

load      requests of 1, 8, 32 and 64 clients
batching  batches against one picture at a time, 32 clients
overload  more callers than places in the queue: answers, or 503 with Retry-After
overhead  what the service adds to the recognizer's own time, one client; and a cached answer
plain     FastAPI and PyTorch, one picture at a time, no cached keys and values
start     until it is ready; size of the serving environment
memory    after ever more requests
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import bentoml
from rich.table import Table

from benchmarks.serving_bench import Bench, Target, console
from benchmarks.serving_cost import memory, overhead, start
from benchmarks.serving_load import collect
from benchmarks.serving_processes import NotReadyError, stored_model
from benchmarks.serving_throughput import batching, load, overload, plainly
from components.recognizer.recognizer import Recognizer

SECTIONS: dict[str, Callable[[Bench], list[Target]]] = {
    "load": load,
    "batching": batching,
    "overload": overload,
    "overhead": overhead,
    "plain": plainly,
    "start": start,
    "memory": memory,
}


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that services end with what started them
    tag = options.model or stored_model()
    model = Path(bentoml.models.get(tag).path)
    recognizer = Recognizer.load(model, options.threads)
    with console.status("reading the pictures whose answers callers must get"):
        shards = options.project / "data/shards/test"
        questions = collect(shards, recognizer, options.beam, options.pictures)
    bench = Bench(
        model, options.project / "data/model.pt", recognizer, questions, options.beam,
        options.threads, options.requests, options.rounds, options.memory_requests,
    )  # fmt: skip
    tokens = median(len(recognizer.read_file(q.picture, options.beam).tokens) for q in questions[:100])
    console.print(
        f"{tag}, {options.beam} beams, {options.threads or 'all'} threads; "
        f"{len(questions)} pictures, {tokens:.0f} tokens at the median; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start"
    )
    if len(questions) < options.pictures:
        console.print(f"only {len(questions)} pictures are read differently, not {options.pictures}")
    targets: list[Target] = []
    for name, section in SECTIONS.items():
        if name in options.only:
            try:
                targets += section(bench)
            except NotReadyError as error:  # the other sections are still worth their time
                console.print(f"{name}: {error}", markup=False)
                targets.append(Target(f"{name}: the service starts", "it does not", False))
    table = Table("target", "found", "", title="targets")
    for target in targets:
        table.add_row(target.wanted, target.found, "[green]met" if target.met else "[red]missed")
    if targets:
        console.print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections (default: all)")
    add("--project", type=Path, default=Path(), help="the folder that data/ lies in (default: this one)")
    add("--model", help="NAME:VERSION in BentoML's store (default: the registered one)")
    add("--requests", type=int, default=5000, help="of each number of clients (default: %(default)s)")
    add("--memory-requests", type=int, default=20_000, help="of section memory (default: %(default)s)")
    add("--rounds", type=int, default=5, help="of what is compared (default: %(default)s)")
    add("--pictures", type=int, default=256, help="different pictures (default: %(default)s)")
    add("--beam", type=int, default=3, help="beams of the search (default: %(default)s)")
    add("--threads", type=int, default=0, help="threads of ONNX Runtime; 0: one a core")
    return parser.parse_args()


if __name__ == "__main__":
    main()
