"""What a formula is made of, so that reports can say which kinds are read well."""

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

# They say where something stands, and have no ink.
UNWRITTEN = frozenset(["{", "}", "_", "^", "&", "\\\\", r"\begin{matrix}", r"\end{matrix}"])


def structures(tokens: Iterable[str]) -> frozenset[str]:
    """Which of STRUCTURES the tokens of a formula have; none where symbols only stand in a row."""
    present = frozenset(tokens)
    return frozenset(name for name, signs in STRUCTURES.items() if present & signs)


def written(tokens: Sequence[str]) -> list[int]:
    r"""The places of the tokens that stand for ink: no braces and marks, and no brackets of `\sqrt[3]{x}`."""
    places: list[int] = []
    degrees: list[int] = []  # how deep in braces the degrees stand that are open
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
