"""Error metrics over tokens of normalized LaTeX.

ExpRate and the rates with at most one and two errors are those of the CROHME papers (Mouchère et al., IJDAR
2016), computed over tokens. CER is that of MathWriting (Gervais et al., 2024).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from components.latex.tokenizer import spaced


@dataclass(frozen=True)
class Scores:
    """The metrics of a set of predictions; rates are fractions."""

    n: int
    exprate: float  # exact matches
    exprate_le1: float  # at most one error
    exprate_le2: float
    cer: float  # total errors per reference token; can exceed 1


def edits(ref: Sequence[str], hyp: Sequence[str]) -> int:
    """The Levenshtein distance: the fewest insertions, deletions and substitutions."""
    return Levenshtein.distance(ref, hyp)


def score(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Scores:
    """Score pairs of reference and hypothesis, as tokens of `tokenize`.

    CER also counts MathWriting's space tokens (`spaced`); the other rates do not. Raises ValueError if there
    are no pairs.
    """
    errors: list[int] = []
    tokens = token_errors = 0
    for ref, hyp in pairs:
        errors.append(edits(ref, hyp))
        tokens += len(spaced(ref))
        token_errors += edits(spaced(ref), spaced(hyp))
    if not errors:
        raise ValueError("nothing to score: no pairs were given")

    def within(bound: int) -> float:
        return sum(error <= bound for error in errors) / len(errors)

    # Normalized labels are never empty, but pairs may come from elsewhere.
    return Scores(len(errors), within(0), within(1), within(2), token_errors / max(tokens, 1))
