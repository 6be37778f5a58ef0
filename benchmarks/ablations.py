"""What each part of the recipe is worth: `python -m benchmarks.ablations` (after `dvc repro synthesize`).

Trains the recognizer of params.yaml several times for a few epochs, each time with one thing taken away or
added, all else the same, and prints ExpRate and loss on valid; what the recipe has already is not added. A
short training says which way leads faster, not how far: differences of a few points are within what another
seed does (`--seeds`). What has been trained is kept in --out: killed, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from components.config import ModelParams, Params, TrainParams, load_params
from components.data.shards import SPLITS, data_hash
from components.latex.vocabulary import Vocabulary
from components.model.trainer import Epoch, TrainingJob, fit

# What the stages before training have written.
SHARDS, SYNTHETIC, VOCAB = Path("data/shards"), Path("data/synthetic"), Path("data/vocab.json")

# Of each variant, what it changes of the sections `model` and `train`.
VARIANTS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it is": ({}, {}),
    "one direction": ({"bidirectional": False}, {}),
    "both directions": ({"bidirectional": True}, {}),
    "no coverage": ({"coverage": False}, {}),
    "coverage": ({"coverage": True}, {}),
    "no attention supervision": ({}, {"attention_supervision": 0.0}),
    "no symbol loss": ({}, {"symbol_loss": 0.0}),
    "neither auxiliary loss": ({}, {"attention_supervision": 0.0, "symbol_loss": 0.0}),
    "no synthetic formulas": ({}, {"synthetic": (0.0, 0.0)}),
    "no swapped symbols": ({}, {"augment": {"swap_symbols": 0.0}}),
    "no symbol substitution": ({}, {"augment": {"substitute_symbols": 0.0}}),
    "Swin's own patches": ({"stem": "patch"}, {}),
    "one decoder layer": ({"decoder_layers": 1}, {}),
    "two decoder layers": ({"decoder_layers": 2}, {}),
}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("data/ablations"))
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    params = load_params()
    data = data_hash([SHARDS / split for split in SPLITS])
    seeds = range(params.seed, params.seed + options.seeds)
    recipe = job(params, "as it is", options.epochs, params.seed, data).fingerprint
    measured: dict[str, list[Epoch]] = {}
    for name in options.only:
        jobs = [job(params, name, options.epochs, seed, data) for seed in seeds]
        if name != "as it is" and jobs[0].fingerprint == recipe:
            continue
        measured[name] = [train(one, options.out) for one in jobs]
        Console().print(table(measured, options.epochs))


def job(params: Params, name: str, epochs: int, seed: int, data: str) -> TrainingJob:
    """The training of one variant."""
    model, training = VARIANTS[name]
    augment = params.train.augment.model_dump() | training.get("augment", {})
    changed = params.train.model_dump() | training | {"epochs": epochs, "augment": augment}
    return TrainingJob(
        SHARDS,
        SYNTHETIC,
        Vocabulary.load(VOCAB),
        params.raster.settings,
        ModelParams(**params.model.model_dump() | model),
        TrainParams(**changed),
        seed,
        data,
    )


def train(one: TrainingJob, out: Path) -> Epoch:
    """Its last epoch."""
    done = out / one.fingerprint
    if (found := done / "last.json").exists():
        return Epoch(**json.loads(found.read_text(encoding="utf-8")))
    last = fit(one, done)[-1]
    found.write_text(json.dumps(vars(last)) + "\n", encoding="utf-8")
    return last


def table(measured: Mapping[str, list[Epoch]], epochs: int) -> Table:
    """Medians over the seeds."""
    made = Table("", "ExpRate", "loss", "inks/s", title=f"valid after {epochs} epochs")
    for name, runs in measured.items():
        made.add_row(
            name,
            f"{statistics.median(run.valid_exprate for run in runs):.1%}",
            f"{statistics.median(run.valid_loss for run in runs):.3f}",
            f"{statistics.median(run.inks_per_second for run in runs):.0f}",
        )
    return made


if __name__ == "__main__":
    main()
