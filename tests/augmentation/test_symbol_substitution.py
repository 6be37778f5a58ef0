"""SymbolSubstitution makes another formula of the same shape."""

from __future__ import annotations

from collections import Counter

import numpy as np

from components.augmentation.symbol_substitution import SymbolSubstitution

WRITTEN = {"x": 60, "a": 30, "n": 10, "g": 5, "2": 50, "7": 50, "+": 10, "1": 99, "s": 1, "sin": 40}


def test_only_what_is_equally_tall_takes_another_s_place() -> None:
    label = ["x", "^", "{", "2", "}", "+", "1", "+", "g"]
    written = {place: label[place] for place in (0, 3, 5, 6, 7, 8)}
    seen = set()
    for seed in range(2000):
        names = SymbolSubstitution(WRITTEN).names(label, written, np.random.default_rng(seed))
        seen |= set(names.items())
    assert seen == {
        *(("x", other) for other in "xans"), ("2", "2"), ("2", "7"), ("+", "+"), ("g", "g"),
    }  # fmt: skip


def test_tokens_that_were_written_often_come_more_often_and_half_of_them_change() -> None:
    renaming, rng = SymbolSubstitution(WRITTEN), np.random.default_rng(1)
    found = Counter(renaming.names(["x"], {0: "x"}, rng).get("x") for _ in range(20_000))
    assert abs(found[None] / 20_000 - 0.5) < 0.02
    chosen = 20_000 - found[None]
    flattened = {"x": 60**0.8, "a": 30**0.8, "n": 10**0.8, "s": 1.0}  # rare ones come up as well
    for token, count in flattened.items():
        assert abs(found[token] / chosen - count / sum(flattened.values())) < 0.02


def test_a_letter_of_a_function_keeps_its_name_everywhere() -> None:
    label = ["s", "i", "n", "a", "s"]  # a sine in one symbol, then a and s
    written = {0: "sin", 1: "sin", 2: "sin", 3: "a", 4: "s"}
    renamed = [
        SymbolSubstitution(WRITTEN).names(label, written, np.random.default_rng(seed)) for seed in range(50)
    ]
    assert {token for names in renamed for token in names} == {"a"}


def test_a_place_without_a_symbol_keeps_its_token() -> None:
    renaming = SymbolSubstitution(WRITTEN)
    assert not any(renaming.names(["x", "+", "x"], {0: "x"}, np.random.default_rng(s)) for s in range(50))


def test_nothing_written_nothing_renamed() -> None:
    assert SymbolSubstitution({}).names(["x"], {0: "x"}, np.random.default_rng(0)) == {}
