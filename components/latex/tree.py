r"""Parse a normalized label into a tree, whose parts can be extracted, exchanged and laid out.

A tree has a head and parts. The head determines what the parts are:

    x, +, \alpha …        a symbol: no parts
    ROW                   the parts, from left to right
    \frac                 numerator, denominator
    \sqrt                 radicand, and the index if there is one
    SCRIPT                base, subscript, superscript; either of the last two may be None
    \hat, \overline …     the accented part
    \overset, \underset   the part above or below, the base
    MATRIX                rows, which are ROWs of cells
    GROUP                 a part in braces that is not an argument
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.latex.commands import ACCENTS

ROW, SCRIPT, MATRIX, GROUP = "row", "script", r"\begin{matrix}", "{}"


class TreeError(ValueError):
    """The tokens are not a normalized label, or have a construct that trees do not support."""


@dataclass(frozen=True)
class Tree:
    """A formula or a part of it."""

    head: str
    parts: tuple[Tree | None, ...] = ()

    @property
    def is_symbol(self) -> bool:
        return not self.parts and self.head != ROW


EMPTY = Tree(ROW)


def parse(tokens: Sequence[str]) -> Tree:
    """Parse the tokens of a normalized label. Raises TreeError."""
    parser = _Parser(tokens)
    tree = parser.row(())
    if parser.next is not None:
        raise TreeError(f"{parser.next} has no matching opening")
    return tree


def row(parts: Sequence[Tree]) -> Tree:
    """A row of parts. A single part is returned as it is; nested rows are flattened."""
    flat = [inner for part in parts for inner in (part.parts if part.head == ROW else (part,))]
    return flat[0] if len(flat) == 1 and flat[0] is not None else Tree(ROW, tuple(flat))


def tokens_of(tree: Tree | None) -> Iterator[str]:
    """Yield the tokens that the tree was parsed from."""
    if tree is None:
        return
    parts = tree.parts
    match tree.head:
        case "row":
            for part in parts:
                yield from tokens_of(part)
        case "script":
            yield from tokens_of(parts[0])
            for mark, part in zip("_^", parts[1:], strict=True):
                if part is not None:
                    yield from (mark, *_braced(part))
        case r"\sqrt":
            yield r"\sqrt"
            if len(parts) > 1:
                yield from ("[", *tokens_of(parts[1]), "]")
            yield from _braced(parts[0])
        case r"\begin{matrix}":
            yield MATRIX
            for number, line in enumerate(parts):
                assert line is not None
                if number:
                    yield "\\\\"
                for place, cell in enumerate(line.parts):
                    if place:
                        yield "&"
                    yield from tokens_of(cell)
            yield r"\end{matrix}"
        case "{}":
            yield from _braced(parts[0])
        case head:
            yield head
            for part in parts:
                yield from _braced(part)


def _braced(tree: Tree | None) -> Iterator[str]:
    yield "{"
    yield from tokens_of(tree)
    yield "}"


class _Parser:
    """Recursive descent; each method parses the construct in its name."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def next(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def row(self, ends: tuple[str, ...]) -> Tree:
        parts: list[Tree] = []
        while self.next is not None and self.next not in ends and self.next != "}":
            parts.append(self._scripted())
        return row(parts)

    def _take(self, wanted: str | None = None) -> str:
        token = self.next
        if token is None or (wanted is not None and token != wanted):
            raise TreeError(f"expected {wanted or 'a token'}, found {token or 'the end'}")
        self._at += 1
        return token

    def _scripted(self) -> Tree:
        base = EMPTY if self.next in ("_", "^") else self._nucleus()
        scripts: dict[str, Tree] = {}
        while self.next in ("_", "^"):
            mark = self._take()
            if mark in scripts:
                raise TreeError(f"double {mark} on one symbol")
            scripts[mark] = self._argument()
        return Tree(SCRIPT, (base, scripts.get("_"), scripts.get("^"))) if scripts else base

    def _argument(self) -> Tree:
        self._take("{")
        inner = self.row(())
        self._take("}")
        return inner

    def _nucleus(self) -> Tree:
        token = self._take()
        if token == "{":
            self._at -= 1
            return Tree(GROUP, (self._argument(),))
        if token == MATRIX:
            return self._matrix()
        if token == r"\sqrt":
            if self.next != "[":
                return Tree(token, (self._argument(),))
            self._take("[")
            index = self.row(("]",))
            self._take("]")
            return Tree(token, (self._argument(), index))
        if token in ACCENTS:
            return Tree(token, (self._argument(),))
        if token in (r"\frac", r"\overset", r"\underset"):
            return Tree(token, (self._argument(), self._argument()))
        if token in (r"\xrightarrow", r"\xleftarrow", "}", "&", "\\\\", r"\end{matrix}"):
            raise TreeError(f"{token} is not supported in trees")
        return Tree(token)

    def _matrix(self) -> Tree:
        lines: list[Tree] = []
        cells: list[Tree | None] = []
        while True:
            cells.append(self.row(("&", "\\\\", r"\end{matrix}")))
            end = self._take()
            if end != "&":
                lines.append(Tree(ROW, tuple(cells)))
                cells = []
            if end == r"\end{matrix}":
                return Tree(MATRIX, tuple(lines))
