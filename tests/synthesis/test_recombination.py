"""New formulas are formulas, of the parts that were given."""

from __future__ import annotations

import numpy as np
import pytest

from components.latex.normalizer import normalize
from components.latex.tokenizer import detokenize, tokenize
from components.latex.tree import tokens_of
from components.synthesis.recombination import Recombination, trees_of

LABELS = [
    r"x^{2}+y_{1}=\sqrt{z}",
    r"\frac{a+1}{b}",
    r"\sum_{i=0}^{n}i",
    r"lim_{x\rightarrow0}\frac{sinx}{x}=1",
    r"f(x)=3x-7",
]


@pytest.fixture(scope="module")
def formulas() -> list[tuple[str, ...]]:
    made = Recombination(trees_of(map(tokenize, LABELS)))
    rng = np.random.default_rng(1)
    return [tuple(tokens_of(made.formula(rng, 20))) for _ in range(400)]


def test_every_one_is_a_normalised_label_no_longer_than_asked(formulas: list[tuple[str, ...]]) -> None:
    for tokens in formulas:
        assert 3 <= len(tokens) <= 20
        assert normalize(detokenize(tokens)) == detokenize(tokens)


def test_there_is_nothing_in_them_that_the_labels_lack(formulas: list[tuple[str, ...]]) -> None:
    known = {token for label in LABELS for token in tokenize(label)}
    assert {token for tokens in formulas for token in tokens} <= known


def test_most_are_new_and_the_structures_come_from_the_labels(formulas: list[tuple[str, ...]]) -> None:
    old = set(map(tokenize, LABELS))
    assert len(set(formulas) - old) > 200
    assert sum(r"\frac" in tokens for tokens in formulas) > 40


def test_names_of_functions_are_not_renamed(formulas: list[tuple[str, ...]]) -> None:
    texts = ["".join(tokens) for tokens in formulas]
    # l, i and m are letters of nothing else here.
    assert all(text.count("l") == text.count("lim") for text in texts if "lim" in text)


def test_equal_seeds_give_equal_formulas() -> None:
    made = Recombination(trees_of(map(tokenize, LABELS)))
    one, other = ([made.formula(np.random.default_rng([7, n]), 20) for n in range(20)] for _ in range(2))
    assert one == other


def test_labels_without_operators_are_recombined_all_the_same() -> None:
    made = Recombination(trees_of(map(tokenize, ["x", "y^{2}", "abc"])))
    rng = np.random.default_rng(1)
    formulas = [tuple(tokens_of(made.formula(rng, 20))) for _ in range(50)]
    assert {token for tokens in formulas for token in tokens} <= set("xyabc2^{}")


def test_a_length_that_no_formula_has_is_refused() -> None:
    made = Recombination(trees_of(map(tokenize, ["x"])))
    with pytest.raises(ValueError, match=r"synthesize\.max_tokens"):
        made.formula(np.random.default_rng(1), 1)


def test_the_cells_of_a_matrix_stay_apart() -> None:
    label = tokenize(r"(\begin{matrix}a+1&b_{2}\\ c&\frac{1}{2}\end{matrix})")
    recombination = Recombination(trees_of([label, tokenize("x+y=z"), tokenize("1-2")]))
    rng = np.random.default_rng(2)
    shapes = set()
    for _ in range(300):
        tokens = list(tokens_of(recombination.formula(rng, 60)))
        if r"\begin{matrix}" in tokens:
            assert normalize(detokenize(tokens)) == detokenize(tokens)
            shapes.add(
                (tokens.count("&"), tokens.count("\\\\")) if tokens.count(r"\begin{matrix}") == 1 else (2, 1)
            )
    assert shapes == {(2, 1)}
