"""Stage `synthesize`: more formulas for training, from the training split's symbols and labels alone."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from dask.system import CPU_COUNT
from rich.console import Console
from rich.progress import Progress

from components.config import Params, ParamsError, load_params
from components.data.rasterize import row_of_ink
from components.data.shards import InkTable, Row, read_table, write_shard
from components.files import replace_folder, write_json
from components.ink.raster import RasterSettings
from components.random_streams import Stream
from components.synthesis.layout import LayoutError, compose
from components.synthesis.recombination import Recombination, trees_of
from components.synthesis.symbol_bank import SymbolBank

TRAIN, SYNTHETIC, REPORT = Path("data/shards/train"), Path("data/synthetic"), Path("reports/synthesize.json")
_TRIES = 10  # formulas tried for one that can be written
_SHARD = 4096  # formulas; each shard has its own random numbers, so that all are the same on any machine


def synthesize(params: Params) -> int:
    """Writes data/synthetic anew, whole or not at all, and the report. Returns how many formulas it has.

    Raises ValueError where train does not say which strokes are which symbol, OSError.
    """
    wanted = params.synthesize
    part = SYNTHETIC.with_name(f".{SYNTHETIC.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    make = partial(write_formulas, TRAIN, part, params.raster.settings, params.seed, wanted.max_tokens)
    counts = [min(_SHARD, wanted.count - start) for start in range(0, wanted.count, _SHARD)]
    # A fresh interpreter a process: forking one that has threads may lock up.
    spawn = multiprocessing.get_context("spawn")
    workers = max(1, min(params.compute.workers or CPU_COUNT, len(counts)))
    with (
        Progress(console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(workers, mp_context=spawn) as pool,
    ):
        bar = progress.add_task("writing formulas", total=wanted.count)
        for future in as_completed([pool.submit(make, *job) for job in enumerate(counts)]):
            progress.advance(bar, future.result())
    replace_folder(part, SYNTHETIC)
    write_json({"formulas": wanted.count}, REPORT)
    return wanted.count


def write_formulas(
    train: Path, folder: Path, settings: RasterSettings, seed: int, max_tokens: int, number: int, count: int
) -> int:
    """Writes shard `number` with `count` formulas; returns the count."""
    rng = np.random.default_rng([seed, Stream.SYNTHESIS, number])
    rows = list(_rows(train, settings, max_tokens, number, count, rng))
    write_shard(rows, folder / f"part-{number:05d}.parquet")
    return len(rows)


def _rows(
    train: Path, settings: RasterSettings, max_tokens: int, number: int, count: int, rng: np.random.Generator
) -> Iterator[Row]:
    """`count` rows. Raises ValueError if most formulas need a symbol that train has no strokes of."""
    bank, recombination = _material(train)
    made = 0
    for _ in range(_TRIES * count):
        tree = recombination.formula(rng, max_tokens)
        name = f"synthetic-{number:05d}-{made:05d}"
        try:
            row = row_of_ink(compose(tree, bank, rng, name), name, settings)
        except LayoutError as error:
            fault = error  # a symbol without strokes in train
            continue
        yield row
        made += 1
        if made == count:
            return
    raise ValueError(
        f"{train}: only {made} of {_TRIES * count} formulas could be written ({fault}); "
        "lower synthesize.count, or add inks that say which strokes are which symbol"
    )


@lru_cache(maxsize=1)
def _material(train: Path) -> tuple[SymbolBank, Recombination]:
    table = read_table(train, ["strokes", "symbols", "tokens"])
    inks = InkTable(table)
    samples = SymbolBank((inks.strokes(index), inks.symbols(index)) for index in range(len(inks)))
    if not len(samples):
        raise ValueError(f"{train}: no ink says which strokes are which symbol; set synthesize.count to 0")
    return samples, Recombination(trees_of(table["tokens"].to_pylist()))


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        count = synthesize(load_params())
    except (ParamsError, ValueError, OSError) as error:
        sys.exit(f"synthesize: {error}")
    print(f"{SYNTHETIC}: {count:,} formulas")


if __name__ == "__main__":
    main()
