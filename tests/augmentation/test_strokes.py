"""Augmentation changes the hand, never the formula."""

from __future__ import annotations

import numpy as np
import pytest

from components.augmentation.strokes import Variation, bend, exchanged
from components.ink.ink import Symbol
from components.synthesis.symbol_bank import box_of

STILL = {"scale": (1, 1), "rotate": 0, "shear": 0, "wobble": 0, "pen": (0.1, 0.1), "noise": 0}
STROKES = (
    np.float32([[0, 0], [4, 8], [8, 0], [2, 5]]),
    np.float32([[20, 3], [30, 3]]),
    np.float32([[40, 0], [44, 9], [48, 1]]),
)
SYMBOLS = (Symbol("A", (0,)), Symbol(r"\sqrt", (1,)), Symbol("v", (2,)))


def test_dropped_points_leave_every_stroke_its_ends() -> None:
    long = (np.float32([[x, x % 7] for x in range(100)]), np.float32([[5, 5]]), STROKES[1])
    variation = Variation(**STILL, drop=0.5, exchange=0, rename=0)
    counts = set()
    for seed in range(20):
        bent = bend(long, 10, variation, np.random.default_rng(seed))
        assert [len(stroke) for stroke in bent][1:] == [1, 2]
        counts.add(len(bent[0]))
        low, high = (np.linalg.norm(bent[0][end] - bent[1][0]) for end in (0, -1))
        assert low == pytest.approx(np.linalg.norm(long[0][0] - long[1][0]), rel=1e-4)
        assert high == pytest.approx(np.linalg.norm(long[0][-1] - long[1][0]), rel=1e-4)
    assert len(counts) > 5 and max(counts) <= 100 and min(counts) < 80


def test_another_hand_writes_about_where_the_first_one_did() -> None:
    other = (np.float32([[100, 100], [116, 132]]), np.float32([[100, 132], [116, 100]]))
    seen, shifts = set(), set()
    for seed in range(20):
        strokes, symbols = exchanged(STROKES, SYMBOLS, lambda _: other, np.random.default_rng(seed))
        assert [symbol.token for symbol in symbols] == ["A", r"\sqrt", "v"]
        assert np.array_equal(strokes[symbols[1].strokes[0]], STROKES[1]), "roots stay"
        for before, after in zip(SYMBOLS, symbols, strict=True):
            old = box_of([STROKES[index] for index in before.strokes])
            new = box_of([strokes[index] for index in after.strokes])
            extent = float(np.ptp(old, axis=0).max())
            shift = float(np.abs(old.mean(axis=0) - new.mean(axis=0)).max())
            assert shift <= 0.06 * extent + 1e-3
            assert (np.ptp(new, axis=0) <= 1.6 * extent).all()
            shifts.add(round(shift, 3))
        seen.add(len(strokes))
    assert seen == {3, 4, 5}, "none, one or two of the symbols have two strokes now"
    assert len(shifts) > 10, "nobody writes a symbol twice in the very same place"


def test_what_belongs_to_no_symbol_and_what_nobody_else_wrote_stays() -> None:
    strokes, symbols = exchanged(STROKES, SYMBOLS[:1], lambda _: None, np.random.default_rng(0))
    assert len(strokes) == 3 and symbols == SYMBOLS[:1]
    assert all(np.array_equal(a, b) for a, b in zip(strokes, STROKES, strict=True))


def test_a_symbol_with_another_name_is_written_anew_where_it_stood() -> None:
    other = (np.float32([[100, 100], [116, 132]]), np.float32([[100, 132], [116, 100]]))
    asked = []

    def find(token: str) -> tuple[np.ndarray, ...]:
        asked.append(token)
        return other

    named = (*SYMBOLS[:2], Symbol("x", (2,)))
    strokes, symbols = exchanged(STROKES, named, find, np.random.default_rng(0), share=0.0, anew={2})
    assert asked == ["x"]
    assert [symbol.token for symbol in symbols] == ["A", r"\sqrt", "x"]
    assert all(np.array_equal(strokes[index], STROKES[index]) for index in (0, 1)), "the others stay"
    old, new = box_of(STROKES[2:]), box_of([strokes[index] for index in symbols[2].strokes])
    assert len(symbols[2].strokes) == 2 and np.abs(old.mean(axis=0) - new.mean(axis=0)).max() < 1
