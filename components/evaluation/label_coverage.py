r"""How many formulas the normalizer accepts, and how many function names are found again."""

from __future__ import annotations

import re
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.latex.commands import FUNCTIONS
from components.latex.errors import LabelError
from components.latex.function_names import name_functions
from components.latex.normalizer import normalize
from components.latex.tokenizer import tokenize

_NAMES = "|".join(sorted((name[1:] for name in FUNCTIONS - {r"\mod"}), key=len, reverse=True))
_SPACED = "|".join(r"\s*".join(name) for name in _NAMES.split("|"))
_WRITTEN = re.compile(
    rf"\\(?:mathrm|operatorname\s*\*?|mathop|text|textrm|mbox)\s*\{{\s*(?:\\rm\s*)?({_SPACED})\s*\}}"
    rf"|\{{\s*\\rm\s+({_SPACED})\s*\}}|\\({_NAMES})(?![a-zA-Z])"
)
_MARK = r"\mathring"  # round names that authors wrote; survives normalizing


@dataclass(frozen=True)
class Coverage:
    """What became of a list of formulas."""

    labels: tuple[str, ...]  # normalized
    refused: Counter[tuple[str, str]]  # reason and construct
    unstable: tuple[str, ...]  # normalized labels that normalizing changes once more
    seconds: float
    slowest: float


def read_lists(archive: Path) -> dict[str, list[str]]:
    """The formulas of each folder of the archive."""
    lists: dict[str, list[str]] = {}
    with tarfile.open(archive) as members:
        for member in members:
            file = members.extractfile(member)
            path = Path(member.name)
            if file is None or path.name == "README.txt":
                continue
            lines = file.read().decode().rstrip("\n").split("\n")  # splitlines would cut at form feeds
            if path.suffix == ".tsv":
                lines = [line.split("\t", 2)[2] for line in lines]
            lists.setdefault(path.parent.name, []).extend(lines)
    return lists


def normalize_all(formulas: Iterable[str]) -> Coverage:
    """Normalize each formula, and each result again."""
    labels: list[str] = []
    refused: Counter[tuple[str, str]] = Counter()
    times: list[float] = []
    for formula in formulas:
        started = time.process_time()
        try:
            labels.append(normalize(formula))
        except LabelError as error:
            refused[error.reason, error.construct] += 1
        times.append(time.process_time() - started)
    unstable = tuple(label for label in labels if normalize(label) != label)
    return Coverage(tuple(labels), refused, unstable, sum(times), max(times, default=0))


def found_names(formulas: Iterable[str]) -> tuple[int, int, int]:
    """How many names of functions are found again, taken wrongly, and missed."""
    found = wrong = missed = 0
    for formula in formulas:
        if _MARK in formula:
            continue
        try:
            marked = tokenize(normalize(_WRITTEN.sub(_marked, formula)))
        except LabelError:
            continue
        tokens, truth = _unmarked(marked)
        named = name_functions(tokens)
        names = {span for token, span in zip(named.tokens, named.spans, strict=True) if token in FUNCTIONS}
        found += len(names & truth)
        wrong += len(names - truth)
        missed += len(truth - names)
    return found, wrong, missed


def _marked(match: re.Match[str]) -> str:
    name = re.sub(r"\s", "", next(filter(None, match.groups())))
    return rf"{_MARK}{{\{name}}}"


def _unmarked(marked: Sequence[str]) -> tuple[tuple[str, ...], set[tuple[int, int]]]:
    """The tokens without marks, and where the marked names are."""
    tokens: list[str] = []
    names: set[tuple[int, int]] = set()
    rest: Iterator[str] = iter(marked)
    for token in rest:
        if token != _MARK:
            tokens.append(token)
            continue
        start = len(tokens)
        next(rest)  # {
        while (letter := next(rest)) != "}":
            tokens.append(letter)
        names.add((start, len(tokens)))
    return tuple(tokens), names
