from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.latex.commands import ACCENTS, OPTIONAL, PAIRS, SYMBOLS
from components.latex.constraints import GivenTokens, LatexConstraint, State, loops
from components.latex.normalizer import LabelError, normalize
from components.latex.tokenizer import detokenize, tokenize
from components.latex.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from tests.latex.test_real_labels import annotated

STRUCTURE = [*"_^{}&", "\\\\", r"\begin{matrix}", r"\end{matrix}"]
COMMANDS = [r"\hat", r"\frac", r"\overset", r"\sqrt", r"\xrightarrow"]
NAMES = [*"x1=[]ABOVE", r"\{", r"\pi", r"\in", r"\not", r"\prime", r"\mathbb{R}"]
JUNK = [
    *"'$%#~ é′\\", "xy", r"\left", r"\leq", r"\sin", r"\over", r"\vtop", r"\mathbb", r"\mathbb{12}", r"\,",
    r"\begin{pmatrix}", r"\end{pmatrix}", r"\binom", r"\text", r"\phantom", r"\operatorname*",
]  # fmt: skip
VOCABULARY = Vocabulary.build([[*STRUCTURE, *COMMANDS, *NAMES, *JUNK]])
FORWARD, BACKWARD = LatexConstraint(VOCABULARY), LatexConstraint(VOCABULARY, backward=True)
NUMBERS = {token: number for number, token in enumerate(VOCABULARY.tokens)}
SYMBOL_IDS = VOCABULARY.encode(NAMES)

CHOICES = st.lists(st.integers(0, 10_000), max_size=80)
IDS = st.lists(st.sampled_from([NUMBERS[token] for token in (*STRUCTURE, *COMMANDS, *"x[]")]), max_size=12)


def walk(constraint: LatexConstraint, choices: Sequence[int], budget: int) -> list[int]:
    """An answer of at most `budget` tokens; where the choices end, it ends as soon as it can."""
    state, ids = constraint.start, list[int]()
    while True:
        going = len(ids) < len(choices)
        allowed = constraint.allowed(state, budget - len(ids) if going else 0)
        assert not allowed[[PAD, BOS, UNK]].any()
        choice, few = divmod(choices[len(ids)], 2) if going else (0, 0)
        tokens = np.flatnonzero(allowed)
        # As often a token of structure as a symbol, of which there are more.
        structure = tokens[~np.isin(tokens, SYMBOL_IDS)]
        if few and len(structure):
            tokens = structure
        token = int(tokens[choice % len(tokens)])
        if token == EOS:
            return ids
        state = constraint.advance(state, token)
        ids.append(token)


def latex(ids: Sequence[int]) -> str:
    return detokenize(VOCABULARY.decode(ids))


def grammars(tokens: Sequence[str]) -> tuple[Vocabulary, LatexConstraint, LatexConstraint]:
    vocabulary = Vocabulary.build([tokens])
    return vocabulary, LatexConstraint(vocabulary), LatexConstraint(vocabulary, backward=True)


def offered(constraint: LatexConstraint, text: str, budget: int = 99) -> set[str]:
    """What may follow tokens, which are in the order of writing."""
    state = constraint.start
    for token in VOCABULARY.encode(tokenize(text)):
        state = constraint.advance(state, token)
    return {VOCABULARY.tokens[token] for token in np.flatnonzero(constraint.allowed(state, budget))}


@given(CHOICES, st.integers(1, 60))
def test_whatever_is_let_through_is_a_formula_within_the_room(choices: list[int], budget: int) -> None:
    ids = walk(FORWARD, choices, budget)
    assert 1 <= len(ids) <= budget
    assert FORWARD.accepts(ids)
    assert normalize(latex(ids))


@given(CHOICES, st.integers(1, 60))
def test_from_right_to_left_the_same_is_let_through(choices: list[int], budget: int) -> None:
    ids = walk(BACKWARD, choices, budget)
    assert 1 <= len(ids) <= budget
    assert BACKWARD.accepts(ids)
    assert FORWARD.accepts(ids[::-1])
    assert normalize(latex(ids[::-1]))
    ids = walk(FORWARD, choices, budget)
    assert BACKWARD.accepts(ids[::-1])


@given(CHOICES, IDS, st.integers(0, 60))
def test_both_directions_refuse_the_same(choices: list[int], ids: list[int], at: int) -> None:
    whole = walk(FORWARD, choices, 40)
    broken = whole[:at] + ids[:2] + whole[at + 1 :]
    for tokens in (ids, broken):
        assert FORWARD.accepts(tokens) == BACKWARD.accepts(tokens[::-1])


_SIMPLE = st.sampled_from([*"xR1+=[].'", r"\pi", r"\in", r"\ldots", r"\not", r"\|", r"\mathbb R", "{}", "^2"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    row = st.lists(inner, max_size=4).map("".join)
    patterns = [
        "{%s}", "%s_{%s}", "%s^{%s}", "^{%s}%s", r"\frac{%s}{%s}", r"\hat{%s}", r"\sqrt{%s}",
        r"\sqrt[%s]{%s}", r"\sqrt{%s}ABOVE{%s}", r"\binom{%s}{%s}", r"\left(%s\right]",
        r"\begin{cases}%s&%s\\%s\end{cases}",
    ]  # fmt: skip
    return st.one_of(
        row, *(st.tuples(*[row] * pattern.count("%s")).map(pattern.__mod__) for pattern in patterns)
    )


@given(st.recursive(_SIMPLE, _larger, max_leaves=12))
def test_every_normalised_label_is_let_through(label: str) -> None:
    try:
        tokens = tokenize(normalize(label))
    except LabelError:
        return
    vocabulary, forward, backward = grammars([*tokens, "x"])
    assert forward.accepts(vocabulary.encode(tokens))
    assert backward.accepts(vocabulary.encode(tokens)[::-1])


@pytest.mark.parametrize(
    "label",
    [
        "x",
        "x^{" * 10 + "x" + "}" * 10,
        r"{y^{*}}^{2}",
        r"{{y^{*}}^{2}}^{3}_{1}",
        r"T^{a}{}_{b}{}^{c}_{d}",
        r"{T^a{}_b}_c",
        r"{}^{14}_6C",
        r"\sqrt[]{x}\sqrt[{]}]{x}\sqrt[3]{}",
        r"\sqrt[\sqrt[3]{y}]{x}\sqrt[[]{x}\sqrt[_1]{x}\sqrt[{y^*}^2]{x}",
        r"[]{y^*}^2]\sqrt[3]{x}^2",
        r"$ \sqrt {\sqrt {x} ABOVE {n}} ABOVE {m} $",
        r"\sqrt{x}ABOVE",
        r"\xrightarrow[n\to\infty]{d}\xleftarrow{}\overset{!}{=}\underset{x}{}",
        r"\frac{}{2}\frac{}{}\hat{}\overline{}",
        r"f'' f^{'} G'_1 x'^2 x'^{^2} x'^{^{_1}}",
        r"\begin{matrix}\end{matrix}^2\begin{pmatrix}1&\\[2pt] {}^2&]\\\end{pmatrix}",
        r"\begin{cases}\begin{matrix}a\\b\end{matrix}&x\end{cases}",
        r"\not=\not\in\not<\not^{2}=",
        r"\sum_{\substack{i\\j}}{n \choose k}^{2}{a \over b}",
        r"\mathbb{R}^n\mathbb{AB}\{\}\$\%\#\&\_!()*+,-./:;<=>?@`|",
    ],
)
def test_hard_labels_are_let_through(label: str) -> None:
    tokens = tokenize(normalize(label))
    vocabulary, forward, backward = grammars([*tokens, "x"])
    assert forward.accepts(vocabulary.encode(tokens))
    assert backward.accepts(vocabulary.encode(tokens)[::-1])


@pytest.mark.parametrize(
    ("before", "tokens"),
    [
        ("", r"} & \\ \end{matrix} <eos>"),
        ("x", r"} & \\ \end{matrix}"),
        ("x^", "1 ^ <eos>"),
        ("x^{", "} & <eos>"),
        ("x^{1", "& <eos>"),
        ("x^{1}", "^ _"),
        ("x_{1}", "_"),
        (r"\frac", "1 ["),
        (r"\frac{1}", "1 ^ <eos>"),
        (r"\hat", "x ["),
        (r"\sqrt", "x ]"),
        (r"\sqrt[", "] } <eos>"),
        (r"\sqrt[x]", "x ] <eos>"),
        (r"\sqrt[{]", "<eos>"),
        ("{", "}"),  # it would stand for nothing
        ("{x", "x }"),  # braces are there for what has scripts
        ("{x^{1}}", "x } <eos>"),
        (r"\begin{matrix}x", "} <eos>"),
        (r"\begin{matrix}x^{1", r"& \\ \end{matrix}"),
    ],
)
def test_refuses_what_can_not_follow(before: str, tokens: str) -> None:
    assert not offered(FORWARD, before) & set(tokens.split())


@pytest.mark.parametrize(
    ("after", "tokens"),
    [
        ("", r"{ & \\ \begin{matrix} \hat \frac \sqrt _ ^ <eos>"),
        ("x", r"{ & \hat \frac _ ^"),
        ("}", "_ ^ & <eos>"),
        ("{}", "^ _ x <eos>"),
        ("{x}", r"x { \frac <eos>"),
        ("{x}{x}", r"x \hat ^ \sqrt <eos>"),
        ("^{x}", r"^ \hat {"),
        ("_{x}", r"^ _ \hat {"),
        ("]{x}", r"\sqrt ] \hat <eos>"),
        ("[x]{x}", r"\hat ] <eos>"),
        (r"x\end{matrix}", "{ <eos>"),
    ],
)
def test_refuses_what_can_not_stand_before(after: str, tokens: str) -> None:
    right_to_left = "".join(f" {token}" for token in reversed(tokenize(after)))
    assert not offered(BACKWARD, right_to_left) & set(tokens.split())


def test_offers_every_token_that_a_label_may_have_and_no_other() -> None:
    assert offered(FORWARD, "") == {*NAMES, *COMMANDS, *"{^_", r"\begin{matrix}"}
    assert offered(FORWARD, "x_{1}") == {*NAMES, *COMMANDS, *"{^", r"\begin{matrix}", "<eos>"}
    known = [*SYMBOLS, *ACCENTS, *PAIRS, *OPTIONAL, *map(chr, range(33, 127)), *STRUCTURE]
    vocabulary, forward, _ = grammars(known)
    never = set(range(len(vocabulary))) - set(np.flatnonzero(forward.allowed(forward.start, 99)))
    assert {vocabulary.tokens[number] for number in never} == {
        "<pad>", "<bos>", "<eos>", "<unk>", *"}&'$%#~\\", r"\\", r"\end{matrix}",
    }  # fmt: skip


def test_the_room_lets_exactly_that_through_which_fits_in() -> None:
    tokens = ["x", "^", "{", "}", r"\hat", r"\frac"]
    vocabulary, *both = grammars(tokens)
    for constraint in both:
        formulas = {
            ids
            for length in range(1, 7)
            for ids in product(vocabulary.encode(tokens), repeat=length)
            if constraint.accepts(ids)
        }
        walked = set[tuple[int, ...]]()
        open_: list[tuple[tuple[int, ...], State]] = [((), constraint.start)]
        while open_:
            ids, state = open_.pop()
            for token in np.flatnonzero(constraint.allowed(state, 6 - len(ids))).tolist():
                if token == EOS:
                    walked.add(ids)
                else:
                    open_.append(((*ids, token), constraint.advance(state, token)))
        assert walked == formulas
        assert len(formulas) == 44


def test_a_room_too_small_is_taken_as_the_smallest_that_is_not() -> None:
    assert offered(FORWARD, "", 0) == offered(FORWARD, "", 1) == set(NAMES)
    assert offered(FORWARD, "x^{1", 0) == offered(FORWARD, "x^{1", 1) == {"}"}
    assert offered(FORWARD, "x", 0) == {"<eos>"}


@pytest.mark.parametrize(
    ("constraint", "cycle"),
    [
        *((FORWARD, cycle) for cycle in (r"\sqrt[\hat{", r"\frac{}{", "^{", "{", r"\begin{matrix}")),
        *((BACKWARD, cycle) for cycle in ("}{]}", "}", r"\end{matrix}", r"}\end{matrix}")),
    ],
)
def test_nesting_ends_before_the_normaliser_refuses_it(constraint: LatexConstraint, cycle: str) -> None:
    state, ids = constraint.start, list[int]()
    for token in VOCABULARY.encode(tokenize(cycle)) * 60:
        if constraint.allowed(state, 999)[token]:
            state = constraint.advance(state, token)
            ids.append(token)
    while not (allowed := constraint.allowed(state, 0))[EOS]:
        ids.append(int(np.flatnonzero(allowed)[0]))
        state = constraint.advance(state, ids[-1])
    assert normalize(latex(ids if constraint is FORWARD else ids[::-1]))


def test_what_the_vocabulary_lacks_is_not_begun() -> None:
    vocabulary, forward, backward = grammars(["x", "^", r"\frac", "{"])
    assert vocabulary.decode(np.flatnonzero(forward.allowed(forward.start, 99))) == ("x",)
    assert vocabulary.decode(np.flatnonzero(backward.allowed(backward.start, 99))) == ("x",)
    for tokens in ([], ["'"], ["{", "}"], ["^", "{", "}"]):
        with pytest.raises(ValueError, match="vocabulary"):
            LatexConstraint(Vocabulary.build([tokens]))


def test_a_token_that_may_not_follow_is_an_error() -> None:
    for token in (NUMBERS["}"], EOS, UNK):
        with pytest.raises(ValueError, match="may not follow"):
            FORWARD.advance(FORWARD.start, token)
        assert not FORWARD.accepts([token])


def test_masks_are_shared_and_read_only_and_states_are_values() -> None:
    mask = FORWARD.allowed(FORWARD.start, 50)
    assert FORWARD.allowed(FORWARD.start, 60) is mask
    with pytest.raises(ValueError, match="read-only"):
        mask[EOS] = True
    once, again = (FORWARD.advance(FORWARD.start, NUMBERS["x"]) for _ in range(2))
    assert (once, hash(once)) == (again, hash(again))


@pytest.mark.parametrize(
    ("cycle", "tokens"), [("3", 24), ("x+", 24), ("0&0&", 24), ("x+y+z", 25), ("1&2&3&4&5&", 50)]
)
def test_a_loop_is_named_by_the_token_that_would_go_on_with_it(cycle: str, tokens: int) -> None:
    ids = [ord(c) for c in "start" + cycle * 60]
    for length in range(5 + tokens):
        assert loops(ids[:length]) is None
    for length in range(5 + tokens, len(ids)):
        assert loops(ids[:length]) == ids[length]
    assert loops([*ids, 0]) is None


def test_a_loop_can_be_left() -> None:
    ids = VOCABULARY.encode(tokenize(r"\frac{}{}" * 5))
    state = FORWARD.start
    for token in ids:
        state = FORWARD.advance(state, token)
    allowed = FORWARD.allowed(state, 99)
    mask_repetition = FORWARD.mask_repetition(allowed, ids)
    assert np.flatnonzero(allowed & ~mask_repetition).tolist() == [NUMBERS[r"\frac"]]
    assert FORWARD.mask_repetition(mask_repetition, ids) is mask_repetition
    # What closes may go on, and so may what is the only one.
    for token in ids[:4]:
        ids.append(token)
        state = FORWARD.advance(state, token)
        assert loops(ids) is not None
        allowed = FORWARD.allowed(state, 99)
        assert FORWARD.mask_repetition(allowed, ids) is allowed


def check_labels(labels: set[str]) -> None:
    rows = [tokenize(label) for label in sorted(labels)]
    vocabulary = Vocabulary.build(rows)
    forward, backward = LatexConstraint(vocabulary), LatexConstraint(vocabulary, backward=True)
    for tokens in rows:
        ids = vocabulary.encode(tokens)
        assert forward.accepts(ids), tokens
        assert backward.accepts(ids[::-1]), tokens
        assert [loops(ids[:end]) for end in range(len(ids))] == [None] * len(ids), tokens


def test_every_mathwriting_label_is_let_through() -> None:
    labels = {found.get("normalizedLabel", "x") for _, found in annotated("mathwriting-2024-excerpt.tgz")}
    assert len(labels) > 300
    check_labels(labels)


@pytest.mark.no_cover  # ten thousand files take twice as long with it
@pytest.mark.slow
def test_every_crohme_label_is_let_through() -> None:
    labels = set()
    for _, found in annotated("crohme.tar.xz"):
        try:
            labels.add(normalize(found.get("truth", "x")))
        except LabelError:
            continue
    assert len(labels) > 6000
    check_labels(labels)


class TestRestricted:
    VOCABULARY = Vocabulary.build([tuple("12x+{}^_"), (r"\frac", r"\sqrt")])

    def random(
        self, constraint: LatexConstraint | GivenTokens, seed: int, budget: int = 20
    ) -> tuple[str, ...]:
        """A formula that the constraint allows, of tokens drawn evenly."""
        rng, ids = np.random.default_rng(seed), list[int]()
        state: Any = constraint.start
        while True:
            possible = np.flatnonzero(constraint.allowed(state, budget - len(ids)))
            token = int(rng.choice(possible))
            if token == EOS:
                return self.VOCABULARY.decode(ids)
            state = constraint.advance(state, token)
            ids.append(token)

    @given(st.integers(0, 2**32 - 1))
    def test_only_usable_tokens_are_written_and_the_result_is_latex(self, seed: int) -> None:
        usable = frozenset(self.VOCABULARY.encode([*"12+{}", r"\frac"]))
        tokens = self.random(LatexConstraint(self.VOCABULARY, usable=usable), seed)
        assert set(tokens) <= {*"12+{}", r"\frac"}
        assert normalize(detokenize(tokens))

    def with_tokens(self, tokens: dict[int, str], budget: int = 20, **usable: Any) -> GivenTokens:
        numbers = {place: self.VOCABULARY.encode([token])[0] for place, token in tokens.items()}
        return GivenTokens(LatexConstraint(self.VOCABULARY, **usable), numbers, budget)

    @given(st.integers(0, 2**32 - 1))
    @settings(deadline=None)
    def test_a_formula_begins_with_the_prefix(self, seed: int) -> None:
        prefix = (r"\frac", "{", "x")
        tokens = self.random(self.with_tokens(dict(enumerate(prefix))), seed)
        assert tokens[:3] == prefix and normalize(detokenize(tokens))

    @given(
        st.dictionaries(
            st.integers(0, 12), st.sampled_from([*"12x+{}^_", r"\frac", r"\sqrt"]), min_size=1, max_size=4
        ),
        st.integers(0, 2**32 - 1),
    )
    @settings(deadline=None)
    def test_a_formula_has_given_tokens_at_their_places(self, tokens: dict[int, str], seed: int) -> None:
        try:
            constraint = self.with_tokens(tokens)
        except ValueError:
            assume(False)
        found = self.random(constraint, seed)
        assert {place: found[place] for place in tokens} == tokens
        assert len(found) <= 20 and normalize(detokenize(found))

    @given(st.data(), st.integers(1, 20))
    @settings(deadline=None)
    def test_tokens_of_a_formula_can_be_given(self, data: st.DataObject, budget: int) -> None:
        formula = self.random(LatexConstraint(self.VOCABULARY), data.draw(st.integers(0, 2**32 - 1)), budget)
        places = data.draw(st.sets(st.integers(0, len(formula) - 1), min_size=1))
        tokens = {place: formula[place] for place in places}
        found = self.random(self.with_tokens(tokens, budget), data.draw(st.integers(0, 2**32 - 1)), budget)
        assert len(found) <= budget and {place: found[place] for place in places} == tokens

    @pytest.mark.parametrize(
        "tokens",
        [
            {0: "x", 1: "}"},
            {0: "}"},
            {3: "^", 4: "^"},
            {7: r"\frac"},  # eight tokens do not suffice for what it needs
            {8: "x"},
        ],
    )
    def test_what_no_formula_has_is_refused(self, tokens: dict[int, str]) -> None:
        with pytest.raises(ValueError, match=r"no formula|at most"):
            self.with_tokens(tokens, budget=8)

    def test_a_given_token_must_be_usable(self) -> None:
        with pytest.raises(ValueError, match="no formula"):
            self.with_tokens({2: "x"}, usable=frozenset(self.VOCABULARY.encode("12+")))

    def test_what_takes_long_to_find_is_refused_soon(self) -> None:
        start = time.process_time()
        with pytest.raises(ValueError, match="no formula was found"):
            self.with_tokens({80: "^", 81: "^"}, budget=160)
        assert time.process_time() - start < 1

    def test_nothing_can_be_written_without_symbols(self) -> None:
        with pytest.raises(ValueError, match="no formula"):
            LatexConstraint(self.VOCABULARY, usable=frozenset(self.VOCABULARY.encode("{}")))
