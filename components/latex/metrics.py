"""How far readings are from what was written, over tokens of normalized LaTeX.

ExpRate and the rates with at most one and two errors are what the CROHME papers report (Mouchère et al.,
IJDAR 2016), taken over tokens; CER is what MathWriting reports (Gervais et al., 2024).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from components.latex.tokenizer import spaced


@dataclass(frozen=True)
class Scores:
    """The figures of a set of readings; rates are fractions."""

    n: int
    exprate: float  # read without an error
    exprate_le1: float  # with one error at most
    exprate_le2: float
    cer: float  # errors per token written, over all; can exceed 1


def edits(ref: Sequence[str], hyp: Sequence[str]) -> int:
    """Tokens to insert, delete or replace, at least, to make one of the other (Levenshtein)."""
    return Levenshtein.distance(ref, hyp)


def score(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Scores:
    """Compares what was written with what was read, as tokens that `tokenize` gives.

    CER counts MathWriting's space tokens as well (`spaced`), the other rates only what is written.
    Raises ValueError where there is no pair.
    """
    errors: list[int] = []
    tokens = token_errors = 0
    for ref, hyp in pairs:
        errors.append(edits(ref, hyp))
        tokens += len(spaced(ref))
        token_errors += edits(spaced(ref), spaced(hyp))
    if not errors:
        raise ValueError("there is nothing to score")

    def within(bound: int) -> float:
        return sum(error <= bound for error in errors) / len(errors)

    # No normalized label is empty; but pairs may come from elsewhere.
    return Scores(len(errors), within(0), within(1), within(2), token_errors / max(tokens, 1))
