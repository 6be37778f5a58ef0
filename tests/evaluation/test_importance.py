"""Inks of one split that count as those of another."""

from __future__ import annotations

import numpy as np
import pytest

from components.evaluation.importance import effective_sample_size, importance_weights


def formulas(count: int, capitals: float, seed: int) -> list[list[str]]:
    """Sums of three letters; so many of the letters are capitals."""
    rng = np.random.default_rng(seed)
    letters = np.where(rng.random((count, 3)) < capitals, "X", rng.choice(list("xyz"), (count, 3)))
    return [[a, "+", b, "-", c] for a, b, c in letters.tolist()]


def test_what_is_rarer_there_counts_less_and_the_whole_is_as_there() -> None:
    here, there = formulas(700, 0.4, 1), formulas(5000, 0.1, 2)
    counts = importance_weights(here, there)
    assert counts.mean() == pytest.approx(1) and counts.min() > 0
    with_capital = np.array(["X" in label for label in here])
    assert counts[with_capital].mean() < 1 < counts[~with_capital].mean()
    share_there = np.mean(["X" in label for label in there])
    assert with_capital.mean() > 0.7
    assert np.average(with_capital, weights=counts) == pytest.approx(share_there, abs=0.05)
    assert 200 < effective_sample_size(counts) < 600


def test_alike_splits_count_as_they_are() -> None:
    counts = importance_weights(formulas(700, 0.2, 1), formulas(5000, 0.2, 2))
    assert effective_sample_size(counts) > 650


def test_the_same_labels_give_the_same_weights() -> None:
    here, there = formulas(200, 0.4, 1), formulas(500, 0.1, 2)
    assert np.array_equal(importance_weights(here, there), importance_weights(here, there))


def test_tokens_that_only_one_split_has_do_no_harm() -> None:
    counts = importance_weights(
        [["\\alpha"], ["x"]] * 20, [["x"], [r"\frac", "{", "a", "}", "{", "b", "}"]] * 20
    )
    assert np.isfinite(counts).all() and counts[0] < counts[1]


def test_nothing_is_like_nothing() -> None:
    with pytest.raises(ValueError, match="got 0 and 1"):
        importance_weights([], [["x"]])
    with pytest.raises(ValueError, match="got 1 and 0"):
        importance_weights([["x"]], [])


def test_effective_counts_equal_ones_once_each() -> None:
    assert effective_sample_size(np.ones(5)) == 5 and effective_sample_size(np.array([1.0, 0.0])) == 1
