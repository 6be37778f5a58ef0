"""How fast InkML becomes shards, on one core and on all, and in how much memory.

    python -m benchmarks.rasterize [--data FOLDER] [--memory 10000 100000]

One core is one process that parses, draws, encodes and writes, without Dask. All cores is the stage's own
way, workers started; ideal is as many times faster as there are workers. Where cores are shared
(hyperthreads, neighbours) no program gets that: what so many unconnected processes get done at once stands
beside it. All are medians of several rounds. Memory is the largest sum that all processes of the stage have
for themselves (USS) at one time; inks are repeated.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice, repeat
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from threading import Event, Thread

import cv2
import psutil
import pyarrow as pa

from benchmarks.memory import own_memory
from components.config import ComputeParams
from components.data.dask_client import connect
from components.data.rasterize import make_chunk, merge_chunks, plan, rasterize
from components.data.rows import symbol_token
from components.data.shards import SPLITS
from components.ink.raster import RasterSettings

SHARD_ROWS = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("data/raw"), help="a folder of InkML (default: %(default)s)"
    )
    parser.add_argument("--inks", type=int, default=8192, help="as many inks a run (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default: %(default)s)")
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[], metavar="INKS", help="peak memory of these"
    )
    options = parser.parse_args()
    settings = RasterSettings()
    inks, workers = options.inks, options.workers
    with tempfile.TemporaryDirectory() as name:
        raw, out = Path(name) / "raw", Path(name) / "shards"
        repeated(options.data, inks, raw)
        rounds = [measured(raw, settings, out, workers) for _ in range(options.rounds)]
        alone, apart, together = map(median, zip(*rounds, strict=True))
        print(f"one core: {inks:,} inks in {alone:.1f} s, {inks / alone:,.0f} a second")
        print(f"{workers} unconnected processes: {workers * inks / apart:,.0f} a second in all")
        print(f"{workers} workers of Dask: {inks / together:,.0f} a second", end=", ")
        ideal, possible = alone / workers / together, apart / workers / together
        print(f"{ideal:.0%} of ideal, {possible:.0%} of what the processes get done", flush=True)
        for inks in options.memory:
            repeated(options.data, inks, raw)
            with peak_memory() as seen:
                all_cores(raw, settings, out, workers)
            print(f"{inks:,} inks with {workers} workers: {max(seen) / 1e6:,.0f} MB at most", flush=True)


def repeated(data: Path, inks: int, raw: Path) -> None:
    """Makes splits with so many inks in all, as links, each ink as often as need be."""
    found = sorted(data.absolute().rglob("*.inkml"))
    if not found:
        raise SystemExit(f"{data}: no InkML; `dvc repro download` writes some to data/raw")
    shutil.rmtree(raw, ignore_errors=True)
    spread = found[:: max(1, len(found) // inks)]
    for number, path in enumerate(islice(cycle(spread), inks)):
        split = SPLITS[max(number - inks + 3, 0)]  # one ink each of valid and test, the rest of train
        link = raw / split / f"{number // 4096:03d}" / f"{number:07d}.inkml"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def measured(raw: Path, settings: RasterSettings, out: Path, workers: int) -> tuple[float, float, float]:
    """Seconds of one core, of as many unconnected processes doing the same each, and of the stage."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, spawn) as pool:
        alone = pool.submit(one_core, raw, settings, out / "alone").result()
        apart = max(pool.map(one_core, repeat(raw), repeat(settings), [out / str(i) for i in range(workers)]))
    return alone, apart, all_cores(raw, settings, out / "together", workers)


def one_core(raw: Path, settings: RasterSettings, out: Path) -> float:
    """Seconds that this process takes; libraries are held to one thread."""
    cv2.setNumThreads(1)
    pa.set_cpu_count(1)
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    for shard in plan(raw, out, SHARD_ROWS):
        shard.path.parent.mkdir(parents=True, exist_ok=True)
        chunks = [
            make_chunk(shard.split, shard.folder, sources, settings, str(path))
            for sources, path in shard.pieces()
        ]
        merge_chunks(chunks, shard.path, str(shard.path))
    return time.perf_counter() - start


def all_cores(raw: Path, settings: RasterSettings, out: Path, workers: int) -> float:
    """Seconds that the stage takes once its workers are there."""
    shutil.rmtree(out, ignore_errors=True)
    with connect(ComputeParams(scheduler="processes", workers=workers), workers) as client:
        client.run(symbol_token, "x")  # so that all have imported what they need
        start = time.perf_counter()
        rasterize(client, plan(raw, out, SHARD_ROWS), settings, lambda files: None)
        return time.perf_counter() - start


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """A list that the memory of this process and its children is added to, twice a second."""
    seen, done = [0], Event()

    def watch() -> None:
        me = psutil.Process()
        while not done.wait(0.5):
            seen.append(sum(own_memory(process) for process in (me, *me.children(recursive=True))))

    thread = Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()
