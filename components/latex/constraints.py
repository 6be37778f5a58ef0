r"""Token constraints of the search: valid LaTeX only, and no endless repetition.

The language is that of normalized labels, widened a little where that is simpler: `normalize` takes whatever
is let through. Within one pair of braces a formula is a row of items, in which a group in braces is one item.
So a finite automaton knows what may follow in a row (Glushkov's, of the regular expressions in `_Rules`), and
a stack has one state of it for each pair of braces that is open. What braces are for may be seen only when
they have closed (from right to left `}x{` is a script, an argument or a group): until then all that may be is
followed. From right to left the same expressions are read reversed: both directions know the same formulas.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.latex.commands import ACCENTS, INVISIBLE, OPTIONAL, PAIRS, SPELLINGS, SYMBOLS
from components.latex.normalizer import MAX_DEPTH
from components.latex.vocabulary import EOS, SPECIALS, Vocabulary

Mask = npt.NDArray[np.bool_]

# Braces and matrices within one another. To the normalizer each may be three deep: a root, an accent in its
# index, the accent's argument.
_DEEPEST = MAX_DEPTH // 5
_NEVER = 1_000_000  # tokens: more than there is budget for
_LOOKED_AT = 3_000  # states that are looked at for a way to given tokens
_LOOKED_AT_AGAIN = 200  # when there have been so many, each time
_DETOUR = 12  # tokens before a given one in which what it needs is begun: \hat{\hat{\hat{x before }}}
_CACHED = 1 << 15  # steps that are remembered; all formulas of CROHME take fewer

# In CROHME and MathWriting's excerpt four rounds or more are at most 16 tokens (9^{9^{9^{9^{9^{9}}}}}), two
# or more at most 21 (\sqrt{a+\frac{1}{\sqrt{a+\frac{1}{\sqrt{a}}}}}).
_CYCLE = 10  # tokens in a round, at most
_ROUNDS = 5
_REPEATED = 24  # tokens in all rounds

# The items of a row: tokens by their class …
_SYMBOL, _ACCENT, _PAIR, _OPTIONAL, _SEPARATOR = "symbol", "accent", "pair", "optional", "separator"
_CLASSES: dict[str, str] = {
    **{token: token for token in (*"[]_^{}", r"\begin{matrix}", r"\end{matrix}")},
    **dict.fromkeys(("&", "\\\\"), _SEPARATOR),
    **dict.fromkeys(ACCENTS, _ACCENT),
    **dict.fromkeys(PAIRS, _PAIR),
    **dict.fromkeys(OPTIONAL, _OPTIONAL),
    **dict.fromkeys(SYMBOLS, _SYMBOL),
}
_UNUSED = ""  # the class of a token that no normalized label has
_BLACKBOARD = re.compile(r"\\mathbb\{[a-zA-Z]\}")
# … and groups by what they hold: anything, something, nothing, one atom with scripts, a matrix's cells.
_ANY, _SOME, _NONE, _ONE, _CELLS = _KINDS = ("any", "some", "none", "one", "cells")
_BRACKETS = (("{", "}", (_ANY, _SOME, _NONE, _ONE)), (r"\begin{matrix}", r"\end{matrix}", (_CELLS,)))


class _Row(NamedTuple):
    """The state of an open row."""

    places: frozenset[int]  # each is one in the rules where the last token may stand
    beyond: tuple[int, ...]  # if the row is of this kind: the tokens needed after it, at least
    needs: int  # the tokens needed until the formula is whole, at least


State = tuple[_Row, ...]  # the open rows, the innermost last


class LatexConstraint:
    """Which tokens may follow, over one vocabulary; left to right or right to left.

    Threads may share one. With `usable`, only these tokens (numbers) may be used. Raises ValueError
    where there is nothing to write a formula with.
    """

    start: State

    def __init__(
        self, vocabulary: Vocabulary, backward: bool = False, usable: Collection[int] | None = None
    ) -> None:
        self._rules = _Rules(backward)
        self._classes = [
            _class(token) if usable is None or number in usable else _UNUSED
            for number, token in enumerate(vocabulary.tokens)
        ]
        self._brackets = [
            (*((end, begin) if backward else (begin, end)), kinds) for begin, end, kinds in _BRACKETS
        ]
        closing = {end for _, end, _ in self._brackets}
        self._closing = frozenset(number for number, name in enumerate(self._classes) if name in closing)
        self._distances = self._rules.distances(set(self._classes), _DEEPEST)
        self._step = lru_cache(_CACHED)(self._stepped)
        self._offer = lru_cache(_CACHED)(self._offered)
        self._mask = lru_cache(None)(self._masked)
        self.kinds = self._kinds()  # of tokens that have the same effect: one of them, and the mask of all
        whole = tuple(0 if kind == _SOME else _NEVER for kind in _KINDS)
        start = self._row({self._rules.starts[_SOME]}, whole, _DEEPEST)
        if start is None:
            raise ValueError("no token of the vocabulary can stand alone: no formula can be written with it")
        self.start = (start,)

    def allowed(self, state: State, budget: int) -> Mask:
        """Return the mask (V,) of tokens that may follow if at most `budget` more precede <eos>; read-only.

        A token after which the formula could not be ended within the budget is not among them; <eos> is where
        the formula is whole. One at least is allowed: a budget in which nothing can be ended counts as the
        smallest in which something can.
        """
        budgets, masks = self._offer(state[-2:], self._left(state))
        return masks[max(bisect_right(budgets, budget) - 1, 0)]

    def advance(self, state: State, token: int) -> State:
        """Return the state after one more token. Raises ValueError where no budget allows it."""
        after = self._step(state[-2:], self._classes[token], self._left(state))
        if after is None:
            raise ValueError(f"token {token} may not follow here")
        return state[:-2] + after

    def accepts(self, ids: Sequence[int]) -> bool:
        """Whether these are a whole formula, in the order of writing, without <bos> and <eos>."""
        state = self.start
        try:
            for token in ids:
                state = self.advance(state, token)
        except ValueError:
            return False
        return bool(self.allowed(state, 0)[EOS])

    def mask_repetition(self, mask: Mask, ids: Sequence[int]) -> Mask:
        """Return the mask of what may follow `ids` without the token that `loops` names.

        What is open can still be closed: a closing token stays, and so does one that is the only one.
        The round then ends at one of its other tokens.
        """
        token = loops(ids)
        if token is None or token in self._closing or not mask[token] or np.count_nonzero(mask) == 1:
            return mask
        mask = mask.copy()
        mask[token] = False
        return mask

    def is_symbol(self, token: int) -> bool:
        """Whether a token can stand alone."""
        return self._classes[token] == _SYMBOL

    def _kinds(self) -> list[tuple[int, Mask]]:
        """Symbols and closing tokens first: they are the shortest way from anywhere to anywhere."""
        samples = {name: number for number, name in reversed(list(enumerate(self._classes))) if name}
        order = {_SYMBOL: 0, "}": 1, r"\end{matrix}": 2}
        names = sorted(samples, key=lambda name: (order.get(name, len(order)), name))
        return [(samples[name], self._mask(frozenset({name}))) for name in names]

    def _left(self, state: State) -> int:
        """How many pairs of braces may still be opened within one another, as far as that matters."""
        return min(_DEEPEST + 1 - len(state), len(self._distances) - 1)

    def _offered(self, top: State, left: int) -> tuple[tuple[int, ...], tuple[Mask, ...]]:
        """Rooms in ascending order, and what is allowed from each of them on."""
        budgets: dict[int, set[str]] = {}
        for name in set(self._classes):
            after = self._step(top, name, left)
            if after is not None:
                budgets.setdefault(1 + after[-1].needs, set()).add(name)
        if len(top) == 1 and top[0].needs == 0:
            budgets[0] = {SPECIALS[EOS]}
        offered: frozenset[str] = frozenset()
        masks: list[Mask] = []
        for budget in sorted(budgets):
            offered |= budgets[budget]
            masks.append(self._mask(offered))
        return tuple(sorted(budgets)), tuple(masks)

    def _masked(self, names: frozenset[str]) -> Mask:
        """The tokens of these classes."""
        mask = np.array([name in names for name in self._classes])
        mask[EOS] = SPECIALS[EOS] in names
        mask.flags.writeable = False
        return mask

    def _stepped(self, top: State, name: str, left: int) -> State | None:
        """What the two innermost rows become by a token of this class; None where it may not follow."""
        inner = top[-1]
        for opening, closing, kinds in self._brackets:
            if name == opening:
                opened = self._opened(inner, kinds, left)
                return opened and (*top, opened)
            if name == closing:
                closed = self._closed(top[0], inner, kinds, left + 1) if len(top) == 2 else None
                return closed and (closed,)
        moved = self._row(self._rules.after(inner.places, {name}), inner.beyond, left)
        return moved and (*top[:-1], moved)

    def _opened(self, outer: _Row, kinds: Iterable[str], left: int) -> _Row | None:
        """The row in a new group, which is of one of these kinds."""
        if not left:
            return None
        beyond = dict.fromkeys(_KINDS, _NEVER)
        for kind in kinds:
            after = self._row(self._rules.after(outer.places, {kind}), outer.beyond, left)
            if after is not None:
                beyond[kind] = 1 + after.needs
        starts = {self._rules.starts[kind] for kind in kinds if beyond[kind] < _NEVER}
        return self._row(starts, tuple(beyond.values()), left - 1)

    def _closed(self, outer: _Row, inner: _Row, kinds: Iterable[str], left: int) -> _Row | None:
        """The outer row after a group that holds the inner one."""
        held = {kind for place in inner.places for kind in self._rules.ends[place]}
        return self._row(self._rules.after(outer.places, held.intersection(kinds)), outer.beyond, left)

    def _row(self, places: Iterable[int], beyond: tuple[int, ...], left: int) -> _Row | None:
        """A row with what it needs; None where it leads nowhere."""
        places = frozenset(places)
        distances = self._distances[min(left, len(self._distances) - 1)]
        needs = int((distances[list(places)] + np.array(beyond)).min(initial=_NEVER))
        return _Row(places, beyond, needs) if needs < _NEVER else None


class GivenTokens:
    """A constraint under which formulas have given tokens at given places; from left to right only.

    A token is allowed before a given one only if a way from it to all given ones is found.
    """

    def __init__(self, constraint: LatexConstraint, tokens: Mapping[int, int], max_tokens: int) -> None:
        """`tokens` has at least one, by its place from 0. Raises ValueError where no formula has them all."""
        self._inner, self._tokens, self._max = constraint, dict(tokens), max_tokens
        self._last = max(tokens)
        self._leads: dict[tuple[int, State], bool] = {}  # whether a way is found from there
        self.start: tuple[int, State] = (0, constraint.start)
        if self._last >= max_tokens:
            raise ValueError(
                f"a token is given at place {self._last}, but a formula has {max_tokens} at most"
            )
        self._left = _LOOKED_AT
        self._whole: set[int] = set()
        places = sorted(tokens)
        self._next = [places[bisect_left(places, place)] for place in range(self._last + 1)]
        self._find_detours(places)
        if not self._leads_on(self.start):
            raise ValueError("no formula was found that has these tokens at these places")
        self._first_leads = dict(self._leads)

    def allowed(self, state: tuple[int, State], budget: int) -> Mask:
        """As LatexConstraint.allowed, without what leads to no given token."""
        place, inner = state
        if place > self._last:
            return self._inner.allowed(inner, budget)
        if place == 0 and len(self._leads) > _CACHED:
            self._leads = dict(self._first_leads)
        mask = np.zeros_like(self._inner.allowed(inner, budget))
        for tokens, after in self._following(state):
            if self._leads_on(after):
                mask |= tokens
        if (given := self._tokens.get(place)) is not None:
            only = np.zeros_like(mask)
            only[given] = mask[given]
            return only
        return mask

    def advance(self, state: tuple[int, State], token: int) -> tuple[int, State]:
        """The state after one more token. Raises ValueError where it may not follow."""
        place, inner = state
        return min(place, self._last) + 1, self._inner.advance(inner, token)

    def mask_repetition(self, mask: Mask, ids: Sequence[int]) -> Mask:
        """As LatexConstraint.mask_repetition; what is given is not questioned."""
        return mask if len(ids) in self._tokens else self._inner.mask_repetition(mask, ids)

    def _find_detours(self, places: Sequence[int]) -> None:
        """Finds places shortly before given tokens from which a formula that is whole so far leads to them.

        From nearly everywhere the way is to close what is open, and to go on from such a place.
        """
        symbol = next((sample for sample, _ in self._inner.kinds if self._inner.is_symbol(sample)), None)
        if symbol is None:
            return
        whole = self._inner.advance(self._inner.start, symbol)
        for given in reversed(places):
            for place in range(given, max(given - _DETOUR, 0), -1):
                if self._left <= 0:
                    return
                if self._leads_on((place, whole)):
                    self._whole.add(place)
                    break

    def _following(self, state: tuple[int, State]) -> Iterator[tuple[Mask, tuple[int, State]]]:
        """What may come next up to the last given token: tokens that are alike, and the state after them."""
        place, inner = state
        given = self._tokens.get(place)
        allowed = self._inner.allowed(inner, self._max - place)
        for sample, tokens in self._inner.kinds:
            if allowed[sample] and (given is None or tokens[given]):
                yield tokens, self.advance(state, sample)

    def _leads_on(self, state: tuple[int, State]) -> bool:
        """Whether a way to all given tokens is found: depth first, each state once, not for too long."""
        if (known := self._known(state)) is not None:
            return known
        way = [(state, self._following(state))]
        for _ in range(max(self._left, _LOOKED_AT_AGAIN)):
            self._left -= 1
            for _, after in way[-1][1]:
                known = self._known(after)
                if known:
                    self._leads |= {passed: True for passed, _ in way}
                    return True
                if known is None:
                    way.append((after, self._following(after)))
                    break
            else:
                self._leads[way.pop()[0]] = False
                if not way:
                    return False
        self._leads[state] = False
        return False

    def _known(self, state: tuple[int, State]) -> bool | None:
        place, inner = state
        if place > self._last:
            return True
        given = self._next[place]
        if any(place + inner[-1].needs < whole <= given for whole in self._whole):
            return True
        return self._leads.get(state)


def loops(ids: Sequence[int]) -> int | None:
    """Return the token that would continue a repetition; None if a formula may repeat so often.

    They go round where they end with at least 5 times the same tokens, 10 at most, and 24 tokens in all.
    `LatexConstraint.mask_repetition` says which of them must be allowed nevertheless.
    """
    if len(ids) < _REPEATED:
        return None
    tail = list(ids[-_CYCLE * _ROUNDS :])
    for cycle in range(1, _CYCLE + 1):
        length = max(_ROUNDS * cycle, _REPEATED)
        if length > len(tail):
            break
        if tail[-1] == tail[-1 - cycle] and tail[-length:-cycle] == tail[cycle - length :]:
            return int(tail[-cycle])
    return None


def _class(token: str) -> str:
    plain = len(token) == 1 and "!" <= token <= "~" and token not in {"\\", "'", *SPELLINGS, *INVISIBLE}
    return _CLASSES.get(token, _SYMBOL if plain or _BLACKBOARD.fullmatch(token) else _UNUSED)


@dataclass(frozen=True)
class _Part:
    """A part of a rule: the places where it may begin and end, and whether it may be left out."""

    first: frozenset[int]
    last: frozenset[int]
    empty: bool


_NOTHING = _Part(frozenset(), frozenset(), empty=True)


class _Rules:
    """What each kind of group may hold, as a finite automaton: its states are places of items in the rules.

    All is in the order of reading, but for the arguments of `_seq`: they stand as from left to right.
    """

    def __init__(self, backward: bool) -> None:
        self._order = -1 if backward else 1
        self._items: list[str] = []  # what stands at each place
        self._follow: list[set[int]] = []  # the places that may be next
        self.ends: list[frozenset[str]] = []  # the kinds of group that may end there
        self.starts: dict[str, int] = {}  # for each kind a place of its own, where nothing is read yet
        self._rule(self._atoms(), without={_ANY, _NONE}, with_={_ANY, _SOME})
        self._rule(self._one(), without=set(), with_={_ONE})
        self._rule(self._cells(), without={_CELLS}, with_={_CELLS})

    def after(self, places: Iterable[int], items: Iterable[str]) -> frozenset[int]:
        """The places after these by one of the items."""
        return frozenset(
            place for before in places for place in self._follow[before] if self._items[place] in items
        )

    def distances(self, names: set[str], deepest: int) -> list[npt.NDArray[np.int64]]:
        """Tokens needed from each place to the end of each kind (places, kinds), with classes of these names.

        Once for each number of pairs of braces that may be opened within one another, from 0 up to where more
        of them change nothing.
        """
        before, after = np.array([(a, b) for a, follow in enumerate(self._follow) for b in follow]).T
        costs = np.array([1 if item in names else _NEVER for item in self._items])
        tables: list[npt.NDArray[np.int64]] = []
        while len(tables) <= deepest and (len(tables) < 2 or (tables[-1] != tables[-2]).any()):
            table = np.array([[0 if kind in ends else _NEVER for kind in _KINDS] for ends in self.ends])
            last = None
            while last is None or (table != last).any():
                last = table.copy()
                np.minimum.at(table, before, np.minimum(costs[after, None] + last[after], _NEVER))
            tables.append(table)
            for begin, end, kinds in _BRACKETS:
                for kind in kinds if {begin, end} <= names else ():
                    inside = table[self.starts[kind], _KINDS.index(kind)]
                    costs[[item == kind for item in self._items]] = 2 + inside
        return tables

    def _atoms(self, index: bool = False) -> _Part:
        """A row of atoms. Scripts may begin it: ^{14}C."""
        return self._seq(self._maybe(self._scripted()), self._many(self._atom(index)))

    def _atom(self, index: bool = False) -> _Part:
        """A nucleus with or without scripts. Braces of their own are there for scripts only: {y^{*}}^{2}."""
        return self._either(
            self._seq(self._nucleus(index), self._maybe(self._scripted())),
            self._seq(self._item(_ONE), self._scripted()),
        )

    def _nucleus(self, index: bool = False) -> _Part:
        """A symbol or a construct. In a root's index there is no `]`: the first ends it."""
        return self._either(
            self._item(_SYMBOL, "[") if index else self._item(_SYMBOL, "[", "]"),
            self._seq(self._item(_ACCENT), self._item(_ANY)),
            self._seq(self._item(_PAIR), self._item(_ANY), self._item(_ANY)),
            self._seq(self._item(_OPTIONAL), _NOTHING if index else self._index(), self._item(_ANY)),
            self._item(_CELLS),
        )

    def _index(self) -> _Part:
        """A root's index or none. If it holds a `]`, such as another index's, it is in braces: [{]}]."""
        index = self._either(self._filled(self._atoms(index=True)), self._item(_SOME))
        return self._maybe(self._seq(self._item("["), index, self._item("]")))

    def _scripted(self) -> _Part:
        """Scripts, and such as come after them and have nothing to stand at: T^{a}{}_{b}."""
        return self._seq(self._scripts(), self._many(self._seq(self._item(_NONE), self._scripts())))

    def _scripts(self) -> _Part:
        """A subscript, a superscript, or both in this order."""
        sub, sup = (self._seq(self._item(mark), self._item(_SOME)) for mark in "_^")
        return self._filled(self._seq(self._maybe(sub), self._maybe(sup)))

    def _one(self) -> _Part:
        """One atom with scripts."""
        nucleus = self._either(self._nucleus(), self._item(_ONE, _NONE))
        return self._seq(self._maybe(nucleus), self._scripts())

    def _cells(self) -> _Part:
        """Rows of atoms, with what separates them."""
        next_cell = self._seq(self._item(_SEPARATOR), self._maybe(self._scripted()))
        return self._seq(self._maybe(self._scripted()), self._many(self._either(self._atom(), next_cell)))

    def _rule(self, part: _Part, without: set[str], with_: set[str]) -> None:
        """Says which kinds a group is that holds this part, without an item or with some."""
        start = self._item("")
        self._then(start, part)
        for places, kinds in ((start.last, without), (part.last, with_)):
            for place in places:
                self.ends[place] |= kinds
        self.starts |= {kind: place for kind in without | with_ for place in start.first}

    def _item(self, *items: str) -> _Part:
        """One of the items."""
        places = frozenset(range(len(self._items), len(self._items) + len(items)))
        self._items += items
        self._follow += [set() for _ in items]
        self.ends += [frozenset() for _ in items]
        return _Part(places, places, empty=False)

    def _seq(self, *parts: _Part) -> _Part:
        """One after the other, as they stand from left to right."""
        first, *others = parts[:: self._order]
        for part in others:
            first = self._then(first, part)
        return first

    def _then(self, part: _Part, other: _Part) -> _Part:
        for place in part.last:
            self._follow[place] |= other.first
        return _Part(
            part.first | other.first if part.empty else part.first,
            part.last | other.last if other.empty else other.last,
            part.empty and other.empty,
        )

    def _either(self, *parts: _Part) -> _Part:
        return _Part(
            frozenset(place for part in parts for place in part.first),
            frozenset(place for part in parts for place in part.last),
            any(part.empty for part in parts),
        )

    def _many(self, part: _Part) -> _Part:
        """As often as you like, or not at all."""
        for place in part.last:
            self._follow[place] |= part.first
        return self._maybe(part)

    def _maybe(self, part: _Part) -> _Part:
        return replace(part, empty=True)

    def _filled(self, part: _Part) -> _Part:
        """The part, but not left out."""
        return replace(part, empty=False)
