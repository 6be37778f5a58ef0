"""How fast training goes, and how long it waits for data: `python -m benchmarks.training`.

Trains for one epoch on a part of data/shards (run `dvc repro vocab` first), once for each number of loader
processes, the settings in turn and several rounds, and prints medians: machines are noisy.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from components.config import load_params
from components.data.shards import Row, read_table, strokes_of, symbols_of, write_shard
from components.latex.vocabulary import Vocabulary
from components.model.trainer import Epoch, TrainingJob, fit

SHARDS, SYNTHETIC, VOCAB = Path("data/shards"), Path("data/synthetic"), Path("data/vocab.json")


def main() -> None:
    """Runs the benchmark."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inks", type=int, default=4096, help="inks an epoch")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    chosen = options.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    params = load_params()
    measured: dict[int, list[Epoch]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        shards = Path(name)
        for split, count in (("train", chosen.inks), ("valid", 64)):
            cut(SHARDS / split, shards / split, count)
        for _ in range(chosen.rounds):
            for workers in chosen.workers:
                train = params.train.model_copy(update={"epochs": 1, "workers": workers})
                vocabulary = Vocabulary.load(VOCAB)
                job = TrainingJob(
                    shards=shards,
                    synthetic=SYNTHETIC,
                    vocabulary=vocabulary,
                    raster=params.raster.settings,
                    model=params.model,
                    train=train,
                    seed=params.seed,
                    data_hash="-",
                )
                with tempfile.TemporaryDirectory() as folder:
                    measured[workers] += fit(job, Path(folder))
    device = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} threads"
    )
    table = Table(
        "loader processes", "inks/s", "waiting for data", title=f"training, {device}, preset {params.preset}"
    )
    for workers, epochs in measured.items():
        speed = statistics.median(epoch.inks_per_second for epoch in epochs)
        waiting = statistics.median(epoch.waiting for epoch in epochs)
        table.add_row(str(workers), f"{speed:.0f}", f"{waiting:.1%}")
    Console().print(table)


def cut(source: Path, target: Path, count: int) -> None:
    """Writes the first `count` inks of a split as a split of their own."""
    target.mkdir(parents=True)
    rows = read_table(source).slice(0, count).to_pylist()
    made = [
        Row(**(row | {"strokes": strokes_of(row["strokes"]), "symbols": symbols_of(row["symbols"] or []),
                      "tokens": tuple(row["tokens"])}))
        for row in rows
    ]  # fmt: skip
    write_shard(made, target / "part-00000.parquet")


if __name__ == "__main__":
    main()
