"""Random formulas from a small grammar of school and university mathematics.

A formula is a tree. The tree knows its label (MathWriting's conventions: braced arguments, subscript before
superscript, function names as letters), what mathtext is to set, and in which order mathtext then draws:
that is how each drawn glyph finds its token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

DIGITS = tuple("0123456789")
LATIN = tuple("abcdfgikmnxyz")
GREEK = (r"\beta", r"\phi", r"\gamma", r"\sigma", r"\lambda", r"\pi", r"\omega", r"\Delta")
RELATIONS = ("=", "=", "=", "<", ">", r"\le", r"\ne")
OPERATORS = ("+", "+", "-", "-", r"\pm")
FUNCTIONS = ("sin", "cos", "tan", "log")
_MATHTEXT = {r"\le": r"\leq", r"\ne": r"\neq"}  # MathWriting's spelling → mathtext's
_SHORTEST = 3  # tokens: alone, a symbol or two are often another symbol in another hand
_TRIES = 10_000  # a formula of the shortest length comes up every few


@dataclass(frozen=True)
class Leaf:
    """A symbol: one token, one glyph."""

    token: str


@dataclass(frozen=True)
class Row:
    """Parts side by side."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Frac:
    over: Node
    under: Node


@dataclass(frozen=True)
class Root:
    body: Node


@dataclass(frozen=True)
class Script:
    """A base with a subscript, a superscript or both; limits above and below for sums."""

    base: Node
    sub: Node | None
    sup: Node | None


@dataclass(frozen=True)
class Name:
    """A function's name: upright letters, one token each."""

    letters: str


Node = Leaf | Row | Frac | Root | Script | Name


def label_tokens(node: Node) -> Iterator[str]:
    """Yield the label's tokens in LaTeX order."""
    match node:
        case Leaf(token):
            yield token
        case Name(letters):
            yield from letters
        case Row(parts):
            for part in parts:
                yield from label_tokens(part)
        case Frac(over, under):
            yield r"\frac"
            yield from _braced(over)
            yield from _braced(under)
        case Root(body):
            yield r"\sqrt"
            yield from _braced(body)
        case Script(base, sub, sup):
            yield from label_tokens(base)
            for mark, script in (("_", sub), ("^", sup)):
                if script is not None:
                    yield mark
                    yield from _braced(script)


def mathtext(node: Node) -> str:
    """Return the formula as mathtext source."""
    match node:
        case Leaf(token):
            return _MATHTEXT.get(token, token) + " " if token.startswith("\\") else token
        case Name(letters):
            return f"\\{letters} "
        case Row(parts):
            return "".join(map(mathtext, parts))
        case Frac(over, under):
            return rf"\frac{{{mathtext(over)}}}{{{mathtext(under)}}}"
        case Root(body):
            return rf"\sqrt{{{mathtext(body)}}}"
        case Script(base, sub, sup):
            scripts = (f"{mark}{{{mathtext(s)}}}" for mark, s in (("_", sub), ("^", sup)) if s is not None)
            return mathtext(base) + "".join(scripts)


def drawn_leaves(node: Node, start: int = 0) -> tuple[list[int], list[int]]:
    """Where mathtext's drawing finds its tokens: for each glyph, and for each rule (fraction bars and the
    bars of roots), the index of its token in `label_tokens`, in mathtext's order of drawing."""
    match node:
        case Leaf(_):
            return [start], []
        case Name(letters):
            return list(range(start, start + len(letters))), []
        case Row(parts):
            glyphs: list[int] = []
            rules: list[int] = []
            for part in parts:
                g, r = drawn_leaves(part, start)
                glyphs, rules, start = glyphs + g, rules + r, start + _length(part)
            return glyphs, rules
        case Frac(over, under):
            g, r = drawn_leaves(over, start + 2)
            h, s = drawn_leaves(under, start + 4 + _length(over))
            return g + h, [*r, start, *s]
        case Root(body):
            g, r = drawn_leaves(body, start + 2)
            return [start, *g], [start, *r]
        case Script(base, sub, sup):
            first = start + _length(base)
            second = first + (0 if sub is None else _length(sub) + 3)
            below = ([], []) if sub is None else drawn_leaves(sub, first + 2)
            above = ([], []) if sup is None else drawn_leaves(sup, second + 2)
            middle = drawn_leaves(base, start)
            stacked = isinstance(base, Leaf) and base.token == r"\sum"
            order = (above, middle, below) if stacked else (middle, above, below)
            return [i for part in order for i in part[0]], [i for part in order for i in part[1]]


def formula(rng: np.random.Generator, max_tokens: int) -> Node:
    """Sample a formula of 3 to `max_tokens` tokens. Raises ValueError if `max_tokens` is too small."""
    for _ in range(_TRIES):
        node = _expression(rng, depth=0)
        if rng.random() < 0.35:
            node = Row((node, Leaf(str(rng.choice(RELATIONS))), _expression(rng, depth=1)))
        if _SHORTEST <= _length(node) <= max_tokens:
            return node
    raise ValueError(f"none of {_TRIES} formulas has {_SHORTEST} to {max_tokens} tokens: raise max_tokens")


def _expression(rng: np.random.Generator, depth: int) -> Node:
    parts = [_term(rng, depth)]
    while rng.random() < (0.45, 0.3, 0.15)[min(depth, 2)]:
        parts += [Leaf(str(rng.choice(OPERATORS))), _term(rng, depth)]
    if rng.random() < 0.05:
        parts.insert(0, Leaf("-"))
    return parts[0] if len(parts) == 1 else Row(tuple(parts))


def _term(rng: np.random.Generator, depth: int) -> Node:
    weights = np.array([4.0, 2.0, 2.0, 0.8, 0.8, 0.7, 0.5, 0.7] if depth < 2 else [6, 1, 1, 0, 0, 0, 0, 0])
    match int(rng.choice(len(weights), p=weights / weights.sum())):
        case 0:
            return _atom(rng)
        case 1:
            return Row(tuple(_atom(rng) for _ in range(rng.integers(2, 4))))
        case 2:
            return _scripted(rng, depth)
        case 3:
            return Frac(_expression(rng, depth + 1), _expression(rng, depth + 1))
        case 4:
            return Root(_expression(rng, depth + 1))
        case 5:
            return Row((Name(str(rng.choice(FUNCTIONS))), _atom(rng)))
        case 6:
            return _big(rng)
        case _:
            return Row((Leaf("("), _expression(rng, depth + 1), Leaf(")")))


def _scripted(rng: np.random.Generator, depth: int) -> Node:
    kind = rng.random()
    sub = _small(rng, depth) if kind < 0.45 or kind > 0.9 else None
    sup = _small(rng, depth) if kind >= 0.45 else None
    return Script(_letter(rng), sub, sup)


def _small(rng: np.random.Generator, depth: int) -> Node:
    return _expression(rng, depth + 2) if rng.random() < 0.2 else _atom(rng)


def _big(rng: np.random.Generator) -> Node:
    sign = Leaf(str(rng.choice([r"\int", r"\sum"])))
    kind = rng.random()
    sub: Node | None = None if kind < 0.2 else _atom(rng)
    if sign.token == r"\sum" and sub is not None and rng.random() < 0.4:
        sub = Row((_letter(rng), Leaf("="), Leaf(str(rng.choice(DIGITS)))))
    sup = None if kind < 0.4 else Leaf(r"\infty") if rng.random() < 0.2 else _atom(rng)
    return Row((Script(sign, sub, sup) if sub or sup else sign, _letter(rng)))


def _atom(rng: np.random.Generator) -> Leaf:
    return Leaf(str(rng.choice(DIGITS))) if rng.random() < 0.4 else _letter(rng)


def _letter(rng: np.random.Generator) -> Leaf:
    return Leaf(str(rng.choice(GREEK if rng.random() < 0.3 else LATIN)))


def _braced(node: Node) -> Iterator[str]:
    yield "{"
    yield from label_tokens(node)
    yield "}"


def _length(node: Node) -> int:
    return sum(1 for _ in label_tokens(node))
