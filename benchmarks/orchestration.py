"""What Prefect costs: the flow `pipeline` beside `dvc repro`, on a pipeline in which nothing has changed.

    python -m benchmarks.orchestration [--rounds 5]

Both by turns, in this working folder, whose pipeline must have run. Prefect's own start (its import, and the
server that it starts where PREFECT_API_URL names none) is told apart from the flow.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orchestration", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    from components.orchestration.dvc_runner import plan

    if changed := plan().changed:
        print(f"orchestration: run `dvc repro` first; changed: {', '.join(sorted(changed))}", file=sys.stderr)
        return 1
    stages = len(plan().order)
    whole, flow, repro = [], [], []
    for _ in range(rounds):
        repro.append(_seconds([sys.executable, "-m", "dvc", "repro"])[0])
        seconds, output = _seconds([sys.executable, "-c", _FLOW])
        whole.append(seconds)
        flow.append(float(output.split()[-1]))
    table = Table(title=f"{stages} stages, none changed; medians of {rounds} rounds, seconds")
    for name in ("", "in all", "a stage"):
        table.add_column(name, justify="left" if not name else "right")
    start = median(whole) - median(flow)
    for name, value in (("dvc repro", median(repro)), ("the flow", median(flow)), ("Prefect's start", start)):
        table.add_row(name, f"{value:.2f}", "" if name.startswith("Prefect") else f"{value / stages:.2f}")
    Console().print(table)
    return 0


def _seconds(command: Sequence[str]) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


# From the flow's first line to its last: without the import and the server.
_FLOW = """
import time
from flows import pipeline as module
began = []
plan = module.plan
module.plan = lambda: (began.append(time.perf_counter()), plan())[1]
state = module.run_pipeline(return_state=True)
assert state.is_completed() and not state.result().changed, state.message
print(time.perf_counter() - began[0])
"""


if __name__ == "__main__":
    sys.exit(main())
