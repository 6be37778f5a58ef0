"""How long DVC takes for many InkML files, single and packed: `python -m benchmarks.ingest --files 40000`.

In a DVC repository of its own: adds them, changes one, adds them again; then the same with the archives that
stage `download` makes of a large split.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from components.data.packed_files import pack_files
from components.data.pictures import LABEL

_INK = """<ink xmlns="http://www.w3.org/2003/InkML"><annotation type="label">x_{%d}</annotation>
<trace>%s</trace></ink>"""


def main() -> None:
    """Runs the benchmark."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=40_000)
    chosen = options.parse_args()
    table = Table(f"{chosen.files:,} files", "packing", "dvc add", "after one change: packing", "dvc add")
    for name, pack in (("single", False), ("packed", True)):
        with tempfile.TemporaryDirectory() as folder:
            dvc(Path(folder), "init", "--no-scm", "--quiet")
            first = round_of(Path(folder), chosen.files, pack, 0)
            second = round_of(Path(folder), chosen.files, pack, 1)
        table.add_row(name, *(f"{seconds:.1f} s" for seconds in (*first, *second)))
    Console().print(table)


def round_of(folder: Path, files: int, pack: bool, changed: int) -> tuple[float, float]:
    """Seconds to pack all files and to add them; the first has `changed` in it."""
    source, raw = folder / "source", folder / "raw"
    if not source.exists():
        for number in range(files):
            write(source / f"{number % 100:02d}" / f"{number:07d}.inkml", number)
    write(source / "00" / f"{0:07d}.inkml", changed)
    if pack:
        shutil.rmtree(raw, ignore_errors=True)
    shutil.copytree(source, raw, dirs_exist_ok=True)  # which leaves the times as they are
    packing = seconds_of(lambda: pack_files(raw, LABEL)) if pack else 0.0
    return packing, seconds_of(lambda: dvc(folder, "add", "--quiet", "raw"))


def write(path: Path, number: int) -> None:
    """Writes an ink of about 1.5 kB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_INK % (number, ", ".join(f"{(number * k) % 997} {(k * k) % 991}" for k in range(200))))


def dvc(folder: Path, *command: str) -> None:
    """Runs DVC there."""
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    subprocess.run([sys.executable, "-m", "dvc", *command], cwd=folder, check=True, env=environment)


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
