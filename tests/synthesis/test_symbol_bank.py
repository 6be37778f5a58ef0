"""The symbol bank keeps sources and hands apart, and gives every class in new shapes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from components.ink.ink import Symbol
from components.synthesis.symbol_bank import Sample, SymbolBank, box_of, warped

LINE = np.float32([[0, 0], [5, 1], [10, 0]])


def bank() -> SymbolBank:
    many = [("x", Sample((LINE + number,), "train", str(number))) for number in range(100)]
    return SymbolBank(
        [*many, ("x", Sample((LINE * 3,), "fonts")), ("y", Sample((LINE, LINE + 4), "own", "me"))]
    )


def test_a_small_source_is_drawn_more_often_than_its_share() -> None:
    rng = np.random.default_rng(1)
    drawn = Counter(bank().draw("x", rng).source for _ in range(5000))
    assert 0.07 < drawn["fonts"] / 5000 < 0.12, "the root of 1 against that of 100"


def test_a_source_s_weight_says_how_often_it_is_drawn() -> None:
    silent = SymbolBank([("x", s) for s in bank().all("x")], {"fonts": 0.0})
    rng = np.random.default_rng(1)
    assert {silent.draw("x", rng).source for _ in range(300)} == {"train"}


def test_a_saved_bank_is_the_same_bank(tmp_path: Path) -> None:
    path = tmp_path / "symbols.parquet"
    bank().save(path)
    loaded = SymbolBank.load(path)
    assert loaded.tokens == ["x", "y"] and len(loaded) == 102
    (found,) = loaded.all("y")
    assert (found.source, found.hand, len(found.strokes)) == ("own", "me", 2)
    np.testing.assert_array_equal(found.strokes[1], LINE + 4)
    with pytest.raises(FileNotFoundError, match="dvc repro symbols"):
        SymbolBank.load(tmp_path / "none.parquet")


def test_a_class_of_one_sample_is_distorted_more_than_one_of_many() -> None:
    def spread(token: str) -> float:
        rng = np.random.default_rng(2)
        lone = SymbolBank([(t, Sample((LINE,), "own")) for t in ["y"] + ["x"] * 80])
        shapes = [np.ptp(box_of(lone.any(token, rng)), axis=0) for _ in range(200)]
        return float(np.std([np.log(width / height) for width, height in shapes]))

    assert spread("y") > 2 * spread("x")


def test_warping_keeps_points_and_is_the_same_for_equal_generators() -> None:
    first, second = (warped((LINE, LINE + 9), 0.1, np.random.default_rng(5)) for _ in range(2))
    for a, b, original in zip(first, second, (LINE, LINE + 9), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape == original.shape and not np.allclose(a, original)


def test_inks_give_their_symbols() -> None:
    found = SymbolBank.of_inks([((LINE, LINE * 2), (Symbol("a", (1,)), Symbol("=", (0, 1))))])
    assert found.tokens == ["=", "a"] and found.count("=") == 1 and found.count("b") == 0
