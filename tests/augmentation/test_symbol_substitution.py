"""Renaming makes another formula of the same shape."""

from __future__ import annotations

from collections import Counter

import numpy as np

from components.augmentation.symbol_substitution import Renaming

WRITTEN = {"x": 60, "a": 30, "n": 10, "g": 5, "2": 50, "7": 50, "+": 10, "1": 99, "s": 1, "sin": 40}


def test_only_what_is_equally_tall_takes_another_s_place() -> None:
    label = ["x", "^", "{", "2", "}", "+", "1", "+", "g"]
    written = {place: label[place] for place in (0, 3, 5, 6, 7, 8)}
    seen = set()
    for seed in range(2000):
        names = Renaming(WRITTEN).names(label, written, np.random.default_rng(seed))
        seen |= set(names.items())
    assert seen == {
        *(("x", other) for other in "xans"), ("2", "2"), ("2", "7"), ("+", "+"), ("g", "g"),
    }  # fmt: skip


def test_tokens_come_as_often_as_they_were_written_and_half_of_them_change() -> None:
    renaming, rng = Renaming(WRITTEN), np.random.default_rng(1)
    found = Counter(renaming.names(["x"], {0: "x"}, rng).get("x") for _ in range(20_000))
    assert abs(found[None] / 20_000 - 0.5) < 0.02
    chosen = 20_000 - found[None]
    for token, share in (("x", 60 / 101), ("a", 30 / 101), ("n", 10 / 101), ("s", 1 / 101)):
        assert abs(found[token] / chosen - share) < 0.02


def test_a_letter_of_a_function_keeps_its_name_everywhere() -> None:
    label = ["s", "i", "n", "a", "s"]  # a sine in one symbol, then a and s
    written = {0: "sin", 1: "sin", 2: "sin", 3: "a", 4: "s"}
    renamed = [Renaming(WRITTEN).names(label, written, np.random.default_rng(seed)) for seed in range(50)]
    assert {token for names in renamed for token in names} == {"a"}


def test_a_place_without_a_symbol_keeps_its_token() -> None:
    renaming = Renaming(WRITTEN)
    assert not any(renaming.names(["x", "+", "x"], {0: "x"}, np.random.default_rng(s)) for s in range(50))


def test_nothing_written_nothing_renamed() -> None:
    assert Renaming({}).names(["x"], {0: "x"}, np.random.default_rng(0)) == {}
