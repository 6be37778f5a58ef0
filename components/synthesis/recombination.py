"""Recombine a training split's labels: extract, exchange and join parts, substitute symbols.

A decoder that has seen only some thousand labels learns them by heart. Decomposing and interchanging the
parts of real formulas gives as many more as are wanted, with the structures that people write (Le et al.,
"Pattern generation strategies for improving recognition of handwritten mathematical expressions", 2019).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from components.latex.commands import LARGE
from components.latex.normalizer import FUNCTION
from components.latex.tree import EMPTY, MATRIX, ROW, SCRIPT, Tree, row, tokens_of

_DIGITS, _LOWER, _UPPER = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_GREEK = (
    r"\alpha \beta \gamma \delta \theta \lambda \mu \pi \sigma \phi \omega \epsilon \eta \rho \tau \psi "
    r"\kappa \nu \xi \zeta \chi \iota \upsilon \varphi \hbar \ell \vartheta \varsigma \partial"
)
_CAPITALS = r"\Delta \Gamma \Omega \Sigma \Phi \infty \Lambda \Theta \Pi \Xi \Psi \Upsilon \nabla"
_OPERATORS = r"+ - \times \pm \div \cdot / \cup \cap \wedge \vee \oplus \otimes \circ \ast \mp \backslash"
_RELATIONS = (
    r"= < > \le \ge \ne \in \rightarrow \notin \subset \subseteq \supset \approx \equiv \sim \simeq \cong "
    r"\propto \ll \gg \leftarrow \Rightarrow \mapsto \iff \leftrightarrow \perp \models"
)
_KINDS = {  # symbols that can take each other's place
    **dict.fromkeys(_DIGITS, "digit"),
    **dict.fromkeys(_LOWER, "letter"),
    **dict.fromkeys(_UPPER, "capital"),
    **dict.fromkeys(_GREEK.split(), "letter"),
    **dict.fromkeys(_CAPITALS.split(), "capital"),
    **dict.fromkeys((rf"\mathbb{{{letter}}}" for letter in _UPPER), "capital"),
    **dict.fromkeys(_OPERATORS.split(), "operator"),
    **dict.fromkeys(_RELATIONS.split(), "relation"),
    **dict.fromkeys(LARGE - {r"\int"}, "sum"),
}
_RENAMED = 0.15  # of the symbols
_EXCHANGED = 0.15  # of the arguments
_TRIES = 1000  # before no formula counts as possible
_SHORTEST = 3  # tokens: alone, many a symbol could be another one


class Recombination:
    """Makes new formulas from normalized ones, given as trees."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        """Raises ValueError where there is no tree."""
        if not trees:
            raise ValueError("no label of the training split can be taken apart")
        self._trees = trees
        self._arguments: dict[str, list[Tree]] = defaultdict(list)
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for tree in trees:
            for slot, part in _arguments(tree):
                self._arguments[slot].append(part)
            for token in tokens_of(tree):
                if token in _KINDS:
                    counts[_KINDS[token]][token] += 1
        # The root of the frequency: rare symbols come up often enough to be learnt.
        self._symbols = {
            kind: (list(found), np.sqrt(list(found.values())) / np.sqrt(list(found.values())).sum())
            for kind, found in counts.items()
        }

    def formula(self, rng: np.random.Generator, max_tokens: int) -> Tree:
        """Make a formula of at most `max_tokens` tokens; equal generators give equal formulas.

        Raises ValueError where the trees give none so short.
        """
        for _ in range(_TRIES):
            tree = self._changed(self._base(rng), rng)
            if _SHORTEST <= sum(1 for _ in tokens_of(tree)) <= max_tokens:
                return tree
        raise ValueError(
            f"none of {_TRIES} recombined formulas has {_SHORTEST} to {max_tokens} tokens: "
            "raise synthesize.max_tokens, or give train shorter labels"
        )

    def _base(self, rng: np.random.Generator) -> Tree:
        choice = rng.random()
        tree = self._any(rng)
        if choice < 0.45:
            return tree
        if choice < 0.75:  # a part: a formula that is soon read teaches to look
            return _slice(tree, rng)
        left, right = _slice(tree, rng), _slice(self._any(rng), rng)
        kind = "relation" if rng.random() < 0.5 else "operator"
        joint = [Tree(self._symbol(kind, rng))] if kind in self._symbols else []  # train may have none
        return row([left, *joint, right])

    def _any(self, rng: np.random.Generator) -> Tree:
        return self._trees[int(rng.integers(len(self._trees)))]

    def _changed(self, tree: Tree | None, rng: np.random.Generator, slot: str = "") -> Tree:
        assert tree is not None
        if slot in self._arguments and rng.random() < _EXCHANGED:
            tree = self._arguments[slot][int(rng.integers(len(self._arguments[slot])))]
        if tree.is_symbol:
            kind = _KINDS.get(tree.head)
            renamed = kind is not None and rng.random() < _RENAMED
            return Tree(self._symbol(kind, rng)) if renamed and kind else tree
        if tree.head == MATRIX:  # its lines are rows of cells, which stay apart
            return Tree(MATRIX, tuple(self._line(line, rng) for line in tree.parts if line is not None))
        fixed = _named(tree)
        parts = tuple(
            part if part is None or place in fixed else self._changed(part, rng, _slot(tree, place))
            for place, part in enumerate(tree.parts)
        )
        return row([p for p in parts if p is not None]) if tree.head == ROW else Tree(tree.head, parts)

    def _line(self, line: Tree, rng: np.random.Generator) -> Tree:
        return Tree(ROW, tuple(self._changed(cell, rng) for cell in line.parts))

    def _symbol(self, kind: str, rng: np.random.Generator) -> str:
        tokens, weights = self._symbols[kind]
        return tokens[int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum()))]


def _arguments(tree: Tree) -> Iterator[tuple[str, Tree]]:
    """Yield the arguments in a tree with the slots that they fill."""
    for place, part in enumerate(tree.parts):
        if part is None:
            continue
        slot = _slot(tree, place)
        if slot and part != EMPTY:
            yield slot, part
        yield from _arguments(part)


def _slot(tree: Tree, place: int) -> str:
    """Return the kind of an argument, which another of the same kind may replace; "" if none may."""
    if tree.head == r"\frac":
        return "fraction"
    if tree.head == r"\sqrt":
        return "index" if place else "root"
    if tree.head == SCRIPT and place:
        base = tree.parts[0]
        large = base is not None and base.head in LARGE
        return ("sub", "sup")[place - 1] + (" of a sum" if large else "")
    return ""


def _named(tree: Tree) -> set[int]:
    """Return the parts of a row that are letters of a function name and are kept."""
    if tree.head != ROW:
        return set()
    bases = [part.parts[0] if part and part.head == SCRIPT else part for part in tree.parts]
    letters = [base.head if base and base.is_symbol and len(base.head) == 1 else "?" for base in bases]
    return {place for match in FUNCTION.finditer("".join(letters)) for place in range(*match.span())}


def _slice(tree: Tree, rng: np.random.Generator) -> Tree:
    """Sample a run of neighbours, or an argument in the tree."""
    inner = [part for _, part in _arguments(tree)]
    if inner and rng.random() < 0.3:
        return inner[int(rng.integers(len(inner)))]
    if tree.head != ROW or MATRIX in tokens_of(tree):
        return tree
    count = len(tree.parts)
    start, end = sorted(rng.choice(count + 1, 2, replace=False))
    return row([part for part in tree.parts[start:end] if part is not None])


def trees_of(labels: Iterable[Sequence[str]]) -> list[Tree]:
    """Parse labels' tokens to trees, skipping those that trees do not support."""
    from components.latex.tree import TreeError, parse

    trees = []
    for tokens in labels:
        try:
            trees.append(parse(tokens))
        except TreeError:
            continue
    return trees
