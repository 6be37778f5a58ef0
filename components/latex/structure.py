"""What a formula is made of, so that reports can say which kinds are read well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components.latex.commands import ACCENTS, LARGE, OPTIONAL

STRUCTURES: Mapping[str, frozenset[str]] = {
    "fraction": frozenset([r"\frac"]),
    "script": frozenset("_^"),
    "root": frozenset([r"\sqrt"]),
    "sum-like": LARGE,
    "accent": (ACCENTS | OPTIONAL) - {r"\sqrt"},
    "matrix": frozenset([r"\begin{matrix}"]),
}


def structures(tokens: Iterable[str]) -> frozenset[str]:
    """Which of STRUCTURES the tokens of a formula have; none where symbols only stand in a row."""
    present = frozenset(tokens)
    return frozenset(name for name, signs in STRUCTURES.items() if present & signs)
