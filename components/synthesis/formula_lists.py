"""Sample real formulas from LaTeX lists, weighted towards rare symbols."""

from __future__ import annotations

import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.data.labels import label_of
from components.files import write_text
from components.ink.inkml import InkError, parse_inkml
from components.latex.normalizer import LabelError, normalize
from components.latex.structure import UNWRITTEN
from components.latex.tokenizer import TokenError, tokenize
from components.latex.tree import Tree, TreeError, parse

FREE_TOKENS = 5  # a formula of so many tokens belongs to nobody: it may equal a label that is held out

_FLATTEN = 0.3  # exponent of a formula's count, and of the count of its rarest token
_COUNTED = re.compile(r"(\d+)\t(?:[A-Z]\t)?(.*)")  # count, kind, LaTeX
_SUFFIXES = (".tsv", ".csv", ".txt")


@dataclass(frozen=True)
class Counted:
    """A normalized formula and its count."""

    latex: str
    count: int


def read_lists(paths: Sequence[Path], known: Callable[[str], bool], max_tokens: int) -> list[Counted]:
    """Read, normalize and deduplicate the formulas of text files, folders and archives.

    What does not normalize or parse, is longer than `max_tokens`, or has a token that is not `known`, is left
    out. Raises OSError, and ValueError where a list has no formula at all.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        found = False
        for line in _lines(path):
            match = _COUNTED.fullmatch(line)
            count, text = (int(match[1]), match[2]) if match else (1, line)
            latex = _usable(text, known, max_tokens)
            if latex is not None:
                counts[latex] += count
                found = True
        if not found:
            raise ValueError(f"synthesize.formulas.lists: {path} has no formula that can be used")
    return [Counted(latex, count) for latex, count in sorted(counts.items())]


def without(formulas: Iterable[Counted], held_out: frozenset[str]) -> list[Counted]:
    """Remove formulas of more than FREE_TOKENS tokens that equal a held-out label."""
    return [f for f in formulas if not is_held_out(f.latex, held_out)]


def is_held_out(latex: str, held_out: frozenset[str]) -> bool:
    return latex in held_out and len(tokenize(latex)) > FREE_TOKENS


def labels_of(path: Path) -> Iterator[str]:
    """Return the normalized labels of all InkML in an archive or a folder."""
    for name, data in _files(path, (".inkml",)):
        try:
            yield label_of(parse_inkml(data, name))
        except (InkError, LabelError):
            continue  # what has no readable label can't be given away


def write_formulas(formulas: Iterable[Counted], path: Path) -> None:
    write_text("".join(f"{f.count}\t{f.latex}\n" for f in formulas), path)


def load_formulas(path: Path) -> list[Counted]:
    """Read what `write_formulas` wrote. Raises FileNotFoundError, which names the stage to run."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no formulas; run `dvc repro formulas` first")
    pairs = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return [Counted(latex, int(count)) for count, latex in pairs]


class FormulaList:
    """Samples formulas; none if the list is empty."""

    def __init__(self, formulas: Sequence[Counted]) -> None:
        self._formulas = formulas
        tokens = [set(tokenize(f.latex)) - UNWRITTEN for f in formulas]
        frequency = Counter(token for found in tokens for token in found)
        weights = np.array(
            [
                (f.count / min((frequency[token] for token in found), default=len(formulas))) ** _FLATTEN
                for f, found in zip(formulas, tokens, strict=True)
            ]
        )
        self._cumulative = np.cumsum(weights) / max(weights.sum(), 1e-9)

    def __len__(self) -> int:
        return len(self._formulas)

    def draw(self, rng: np.random.Generator) -> Tree:
        """Sample a formula, weighted by count and by rarity of its symbols."""
        place = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        return parse(tokenize(self._formulas[min(place, len(self._formulas) - 1)].latex))


def _usable(text: str, known: Callable[[str], bool], max_tokens: int) -> str | None:
    try:
        latex = normalize(text)
        tokens = tokenize(latex)
        if len(tokens) > max_tokens or not all(token in UNWRITTEN or known(token) for token in tokens):
            return None
        parse(tokens)
    except (LabelError, TokenError, TreeError):
        return None
    return latex


def _lines(path: Path) -> Iterator[str]:
    for _, data in _files(path, _SUFFIXES):
        for line in data.decode("utf-8", "replace").splitlines():
            if line.strip():
                yield line


def _files(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield files with these suffixes of a folder, an archive, or the file itself, without READMEs."""
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.suffix in suffixes and not inner.name.startswith("README"):
                yield inner.name, inner.read_bytes()
    elif path.suffix in suffixes:
        yield path.name, path.read_bytes()
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                name = Path(member.name)
                if member.isfile() and name.suffix in suffixes and not name.name.startswith("README"):
                    file = tar.extractfile(member)
                    assert file is not None
                    yield member.name, file.read()
