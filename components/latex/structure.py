"""Classify formulas by structure, so that reports can break down accuracy by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from components.latex.commands import ACCENTS, LARGE, OPTIONAL

STRUCTURES: Mapping[str, frozenset[str]] = {
    "fraction": frozenset([r"\frac"]),
    "script": frozenset("_^"),
    "root": frozenset([r"\sqrt"]),
    "sum-like": LARGE,
    "accent": (ACCENTS | OPTIONAL) - {r"\sqrt"},
    "matrix": frozenset([r"\begin{matrix}"]),
}

# Markup only: these tokens have no ink.
UNWRITTEN = frozenset(["{", "}", "_", "^", "&", "\\\\", r"\begin{matrix}", r"\end{matrix}"])


def structures(tokens: Iterable[str]) -> frozenset[str]:
    """Return the names of STRUCTURES that occur in the tokens; empty for a plain row of symbols."""
    present = frozenset(tokens)
    return frozenset(name for name, signs in STRUCTURES.items() if present & signs)


def written(tokens: Sequence[str]) -> list[int]:
    r"""Return the indices of tokens with ink: not braces, script marks, or the brackets of `\sqrt[3]{x}`."""
    places: list[int] = []
    degrees: list[int] = []  # brace depth of each root index that is open
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token == "{") - (token == "}")
        if token == "[" and place and tokens[place - 1] == r"\sqrt":
            degrees.append(depth)
        elif token == "]" and degrees and degrees[-1] == depth:
            degrees.pop()
        elif token not in UNWRITTEN:
            places.append(place)
    return places
