"""What each part of the search is worth: `python -m benchmarks.decoding` (after `dvc repro`).

One bundle, the same pictures (of the validation split, which nothing is reported on), read in several ways:
with a token that would break LaTeX allowed or not, with one beam and several, in one direction and in both,
in one size and in those that the bundle asks for. Times are of the search, without the encoder.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from components.data.datasets import LabelledShards, Sample
from components.latex.constraints import LatexConstraint, Mask
from components.latex.metrics import score
from components.latex.normalizer import LabelError, normalize
from components.latex.tokenizer import detokenize
from components.latex.vocabulary import BOS, PAD, UNK
from components.recognizer.bundle import load_bundle
from components.recognizer.decoding import DecodingConstraints, Hypothesis, decode, greedy, search
from components.recognizer.engine import Engine, Memory, OnnxEngine
from components.recognizer.preprocessing import resized
from components.recognizer.tensors import to_input

Views = Sequence[Memory]  # of one picture in several sizes, its own first
Find = Callable[[Engine, Views, DecodingConstraints], Hypothesis]

console = Console()


class Anything:
    """A constraint in which every token may follow every other."""

    start = ()

    def __init__(self, size: int) -> None:
        self._all = np.ones(size, np.bool_)
        self._all[[PAD, BOS, UNK]] = False

    def allowed(self, state: Any, room: int) -> Mask:
        return self._all

    def mask_repetition(self, mask: Mask, ids: Sequence[int]) -> Mask:
        return mask

    def advance(self, state: Any, token: int) -> Any:
        return state


@dataclass
class Way:
    """One way to search, and what came of it."""

    name: str
    find: Find
    seconds: list[float] = field(default_factory=list)
    answers: list[tuple[str, ...]] = field(default_factory=list)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("data/bundle"))
    parser.add_argument("--data", type=Path, default=Path("data/shards/valid"))
    parser.add_argument("--pictures", type=int, default=0, help="0: all")
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    engine = OnnxEngine(bundle.encoder, bundle.decoder)
    constraints = DecodingConstraints(
        bundle.vocabulary, bundle.settings.decoding.max_tokens, bundle.settings.decoding.bidirectional
    )
    data = LabelledShards(options.data, options.pictures)
    samples = [sample for sample in data if isinstance(sample, Sample)]
    ways = made(
        len(bundle.vocabulary), bundle.settings.decoding.bidirectional, bool(bundle.settings.decoding.scales)
    )
    as_input = partial(
        to_input, multiple=bundle.settings.multiple, min_side=bundle.settings.decoding.min_side
    )
    for sample in track(samples, "reading", console=Console(stderr=True)):
        scales = bundle.settings.decoding.scales
        pictures = [sample.picture, *(resized(sample.picture, scale) for scale in scales)]
        views = [engine.encode(as_input(picture)[None]) for picture in pictures]
        for way in ways:
            begun = time.perf_counter()
            found = way.find(engine, views, constraints)
            way.seconds.append(time.perf_counter() - begun)
            way.answers.append(bundle.vocabulary.decode(found.ids))
    tell(ways, samples, options.bundle)


def made(size: int, bidirectional: bool, several_sizes: bool) -> list[Way]:
    """All ways to search."""
    free = cast("LatexConstraint", Anything(size))

    def freely(engine: Engine, views: Views, constraints: DecodingConstraints) -> Hypothesis:
        return greedy(engine, views[0], free, constraints.max_tokens)[0]

    def one_direction(engine: Engine, views: Views, constraints: DecodingConstraints) -> Hypothesis:
        return search(engine, views[0], constraints.forward, constraints.max_tokens, 5, 1)[0][0]

    def both(count: int, sizes: int | None = 1) -> Find:
        return lambda engine, views, constraints: decode(engine, views[:sizes], constraints, count, 1)[0][0]

    ways = [
        Way("one beam, any token", freely),
        Way("one beam, LaTeX alone", both(1)),
        Way("5 beams, one direction", one_direction),
    ]
    if bidirectional:
        ways += [Way(f"{count} beams, both directions", both(count)) for count in (2, 5, 10)]
    if several_sizes:
        ways.append(Way("5 beams, all directions and sizes", both(5, sizes=None)))
    return ways


def tell(ways: Sequence[Way], samples: Sequence[Sample], bundle: Path) -> None:
    """Prints the table."""
    table = Table(title=f"{bundle}, {len(samples)} pictures")
    for column in ("", "ExpRate", "CER", "not LaTeX", "median ms"):
        table.add_column(column, justify="left" if not column else "right")
    for way in ways:
        scores = score((sample.label, answer) for sample, answer in zip(samples, way.answers, strict=True))
        broken = sum(not _is_latex(answer) for answer in way.answers)
        milliseconds = f"{1000 * statistics.median(way.seconds):.1f}"
        table.add_row(way.name, f"{scores.exprate:.1%}", f"{scores.cer:.2%}", str(broken), milliseconds)
    console.print(table)


def _is_latex(tokens: tuple[str, ...]) -> bool:
    try:
        return bool(normalize(detokenize(tokens)))
    except LabelError:
        return False


if __name__ == "__main__":
    main()
