"""Memory that training's inks take, read whole and mapped: `python -m benchmarks.dataset_memory`.

Repeats the inks of data/shards/train (run `dvc repro vocab` first) until there are as many as asked for,
opens them in a process of its own either way, draws batches from all over them, and prints what that process
has allocated. Pages of mapped files are the system's: it takes them back when memory is short.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import psutil
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.memory import allocated
from components.config import load_params
from components.data.shards import read_table, write_table
from components.latex.vocabulary import Vocabulary
from components.model.dataset import BucketBatchSampler, InkDataset

SHARDS, VOCAB = Path("data/shards"), Path("data/vocab.json")
_SHARD = 4096  # inks a shard


def main() -> None:
    """Runs the benchmark."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inks", type=int, nargs="+", default=[50_000, 200_000])
    options.add_argument("--batches", type=int, default=100)
    options.add_argument("--one", nargs=2, metavar=("FOLDER", "COPIES"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.one:
        folder, copies = chosen.one
        print(measure(Path(folder), Path(copies) if copies else None, chosen.batches))
        return
    table = Table("inks", "on disk", "read whole", "mapped", "copying", "opening a copy")
    for inks in chosen.inks:
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder, copies = Path(name) / "train", Path(name) / "copies"
            repeat(inks, folder)
            size = sum(path.stat().st_size for path in folder.iterdir())
            rows = [apart(folder, way, chosen.batches) for way in ("", str(copies), str(copies))]
            (read, _), (_, copying), (mapped, opening) = rows
            table.add_row(
                f"{inks:,}", f"{size / 2**20:,.0f} MiB", f"{read:,.0f} MiB", f"{mapped:,.0f} MiB",
                f"{copying:.1f} s", f"{opening:.1f} s",
            )  # fmt: skip
    Console().print(table)


def repeat(inks: int, folder: Path) -> None:
    """Writes shards with the inks of the training split again and again."""
    split = read_table(SHARDS / "train")
    folder.mkdir()
    for number, first in enumerate(range(0, inks, _SHARD)):
        rows = pa.array([row % len(split) for row in range(first, min(first + _SHARD, inks))])
        write_table(split.take(rows), folder / f"part-{number:05}.parquet")


def apart(folder: Path, copies: str, batches: int) -> tuple[float, float]:
    """Measures in a new process."""
    command = [sys.executable, "-m", "benchmarks.dataset_memory", "--batches", str(batches)]
    done = subprocess.run(
        [*command, "--one", str(folder), copies], stdout=subprocess.PIPE, text=True, check=True
    )
    mib, seconds = done.stdout.split()
    return float(mib), float(seconds)


def measure(folder: Path, copies: Path | None, batches: int) -> str:
    """MiB that this process has allocated since, and seconds to open the shards."""
    params, process = load_params(), psutil.Process()
    before, start = allocated(process), time.perf_counter()
    inks = InkDataset(
        folder, Vocabulary.load(VOCAB), params.raster.settings, stride=8, multiple=8,
        max_tokens=params.model.max_tokens, seed=params.seed, copies=copies,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    for spec in islice(BucketBatchSampler(inks, 32, (0.9, 1.1)), batches):
        inks[spec]
    return f"{(allocated(process) - before) / 2**20} {seconds}"


if __name__ == "__main__":
    main()
