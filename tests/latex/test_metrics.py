from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.latex.metrics import edits, score
from components.latex.tokenizer import tokenize

TOKENS = st.lists(st.sampled_from(["x", "y", "^", r"\pi"]), max_size=6)


def test_rates_are_over_formulas_and_cer_over_tokens() -> None:
    pairs = [("x+y", "x+y"), ("x+y", "x-y"), ("x+y", "xy-"), ("x", "12345")]
    scores = score((tokenize(ref), tokenize(hyp)) for ref, hyp in pairs)
    assert (scores.n, scores.exprate, scores.exprate_le1, scores.exprate_le2) == (4, 0.25, 0.5, 0.75)
    assert scores.cer == pytest.approx((0 + 1 + 2 + 5) / (3 + 3 + 3 + 1))


def test_cer_counts_the_spaces_that_mathwriting_counts() -> None:
    scores = score([(tokenize(r"\pi r"), tokenize(r"\pi2"))])
    assert scores.exprate_le1 == 1
    assert scores.cer == pytest.approx(2 / 3)  # of `\pi`, space, `r` a space is missing and a token is wrong


def test_refuses_to_score_nothing() -> None:
    with pytest.raises(ValueError, match="nothing to score"):
        score([])


@given(TOKENS, TOKENS, TOKENS)
def test_edits_are_a_distance(a: list[str], b: list[str], c: list[str]) -> None:
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, b) == edits(b, a) <= max(len(a), len(b))
    assert edits(a, c) <= edits(a, b) + edits(b, c)
