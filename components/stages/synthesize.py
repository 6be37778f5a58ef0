"""Stage `synthesize`: more formulas for training, put together of the symbol bank's symbols."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from dask.system import CPU_COUNT
from rich.console import Console
from rich.progress import Progress

from components.config import Params, ParamsError, SynthesizeParams, load_params
from components.data.rows import row_of_ink
from components.data.shards import Row, read_table, write_shard
from components.files import replace_folder, write_json
from components.ink.raster import RasterSettings
from components.latex.normalizer import LabelError, normalize
from components.latex.tokenizer import tokenize
from components.latex.tree import Tree, TreeError, parse
from components.random_streams import Stream
from components.synthesis.formula_lists import FormulaList, is_held_out, load_formulas
from components.synthesis.formula_samplers import Source, sample
from components.synthesis.layout import LayoutError, compose
from components.synthesis.recombination import Recombination, trees_of
from components.synthesis.symbol_bank import SymbolBank

TRAIN, SYNTHETIC, REPORT = Path("data/shards/train"), Path("data/synthetic"), Path("reports/synthesize.json")
BANK = Path("data/symbols.parquet")
LISTED, HELD_OUT = Path("data/formulas/lists.tsv"), Path("data/formulas/held-out.txt")
_FAILURES, _TRIES = 1000, 100
_DRAWN = 20000  # formulas of the lists that are recombined
_SHARD = 4096  # formulas; each shard has its own random numbers, so that all are the same on any machine


def synthesize(params: Params) -> int:
    """Writes data/synthetic anew, whole or not at all, and the report. Returns how many formulas it has.

    Raises ValueError where train does not say which strokes are which symbol, OSError.
    """
    wanted = params.synthesize
    part = SYNTHETIC.with_name(f".{SYNTHETIC.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    make = partial(write_formulas, TRAIN, part, params.raster.settings, params.seed, wanted)
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
    train: Path,
    folder: Path,
    settings: RasterSettings,
    seed: int,
    wanted: SynthesizeParams,
    number: int,
    count: int,
) -> int:
    """Writes shard `number` with `count` formulas; returns the count."""
    rng = np.random.default_rng([seed, Stream.SYNTHESIS, number])
    rows = list(_rows(train, settings, wanted, number, count, rng))
    write_shard(rows, folder / f"part-{number:05d}.parquet")
    return len(rows)


def _rows(
    train: Path,
    settings: RasterSettings,
    wanted: SynthesizeParams,
    number: int,
    count: int,
    rng: np.random.Generator,
) -> Iterator[Row]:
    material = _material(train, wanted)
    failed = 0
    for made in range(count):
        name = f"synthetic-{number:05d}-{made:05d}"
        while True:
            try:
                tree = material.formula(wanted, rng)
                ink = compose(tree, material.bank, rng, name)
                if not is_held_out(ink.label or "", material.held_out):
                    break
                failure = "the formula is a label that is held out"
            except (LayoutError, LabelError, TreeError) as error:
                failure = str(error)
            failed += 1
            if failed > _FAILURES + count:
                raise ValueError(
                    f"{failed} formulas of {made + failed} could not be written; the last: {failure}"
                )
        yield row_of_ink(ink, name, settings)


@dataclass(frozen=True)
class Material:
    """What formulas are made of."""

    bank: SymbolBank
    labels: Recombination  # of the training split
    mixture: Recombination  # of both, where there are lists
    lists: FormulaList
    held_out: frozenset[str]

    def formula(self, wanted: SynthesizeParams, rng: np.random.Generator) -> Tree:
        """A formula of a sampler, of the lists, recombined of both, or of the training split's labels."""
        kind = rng.random() - wanted.formulas.samplers
        if kind < 0:
            return self._sampled(wanted.max_tokens, rng)
        if len(self.lists) and kind < wanted.formulas.share:
            return (
                self.lists.draw(rng) if rng.random() < 0.5 else self.mixture.formula(rng, wanted.max_tokens)
            )
        return self.labels.formula(rng, wanted.max_tokens)

    def _sampled(self, max_tokens: int, rng: np.random.Generator) -> Tree:
        source = Source(self.bank.tokens, rng)
        for _ in range(_TRIES):
            tokens = tokenize(normalize(sample(source)))
            if len(tokens) <= max_tokens:
                return parse(tokens)
        raise ValueError(
            f"the samplers' formulas are longer than synthesize.max_tokens ({max_tokens}); raise it"
        )


@lru_cache(maxsize=1)
def _material(train: Path, wanted: SynthesizeParams) -> Material:
    bank = SymbolBank.load(BANK, dict(wanted.symbols.weights))
    if not len(bank):
        raise ValueError(
            f"{BANK}: no symbol; name a source in synthesize.symbols, or set synthesize.count to 0"
        )
    trees = trees_of(read_table(train, ["tokens"])["tokens"].to_pylist())
    lists = FormulaList(load_formulas(LISTED))
    labels = Recombination(trees)
    if not len(lists):
        return Material(bank, labels, labels, lists, held_out_labels())
    rng = np.random.default_rng(
        [Stream.SYMBOLS, len(lists)]
    )  # the same in every process: all shards have one material
    return Material(
        bank,
        labels,
        Recombination([*trees, *(lists.draw(rng) for _ in range(_DRAWN))]),
        lists,
        held_out_labels(),
    )


def held_out_labels() -> frozenset[str]:
    """The labels that the stage `formulas` found in validation and test splits."""
    return frozenset(HELD_OUT.read_text(encoding="utf-8").splitlines())


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        count = synthesize(load_params())
    except (ParamsError, ValueError, OSError) as error:
        sys.exit(f"synthesize: {error}")
    print(f"{SYNTHETIC}: {count:,} formulas")


if __name__ == "__main__":
    main()
