"""MathML whose elements name their tokens: all of them and the right ones, or none."""

from __future__ import annotations

import html
from xml.etree import ElementTree

import latex2mathml.converter
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.latex.latex_to_mathml import mathml
from components.latex.structure import written
from components.latex.tokenizer import detokenize, tokenize
from components.synthesis.formula_grammar import formula, label_tokens


def marked(latex: str) -> list[tuple[str, str, list[int]]]:
    """Of each element that names tokens: its name, its text, the tokens' places."""
    made = mathml(latex, tokenize(latex))
    assert made is not None
    found = []
    for element in ElementTree.fromstring(made).iter():
        if places := element.get("data-tokens"):
            text = html.unescape(element.text or "")
            found.append((element.tag.partition("}")[2], text, [int(place) for place in places.split()]))
    return found


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_every_token_with_ink_is_an_elements_and_no_other(seed: int) -> None:
    tokens = tuple(label_tokens(formula(np.random.default_rng(seed), 60)))
    found = marked(detokenize(tokens))
    assert sorted(place for *_, places in found for place in places) == written(tokens)
    for name, text, places in found:
        own = [tokens[place] for place in places]
        if name in ("mfrac", "msqrt"):
            assert own == [{"mfrac": r"\frac", "msqrt": r"\sqrt"}[name]]
        elif name == "mn":
            assert "".join(own) == text
        else:
            assert len(own) == 1 and (own[0].startswith("\\") or own[0] == text or own[0] == "-")


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_nothing_else_is_changed(seed: int) -> None:
    latex = detokenize(label_tokens(formula(np.random.default_rng(seed), 60)))
    assert mathml(latex) == latex2mathml.converter.convert(latex)


@pytest.mark.parametrize(
    ("latex", "wanted"),
    [
        (r"12x", [("mn", "12", [0, 1]), ("mi", "x", [2])]),
        (r"1.5<2", [("mn", "1.5", [0, 1, 2]), ("mo", "<", [3]), ("mn", "2", [4])]),
        # MathML has the body first.
        (r"\sqrt[3]{x}", [("mroot", "", [0]), ("mi", "x", [5]), ("mn", "3", [2])]),
        (r"\hat{x}", [("mi", "x", [2]), ("mo", "^", [0])]),
        (r"{x^{2}}_{1}", [("mi", "x", [1]), ("mn", "2", [4]), ("mn", "1", [9])]),
    ],
)
def test_the_order_may_be_another(latex: str, wanted: list[tuple[str, str, list[int]]]) -> None:
    assert marked(latex) == wanted


@pytest.mark.parametrize("latex", [r"x^{1}_{1}", "x^1_1", r"a''", r"\underset{x}{y}", r"\binom{1}{2}"])
def test_where_it_is_not_sure_none_is_named(latex: str) -> None:
    assert marked(latex) == [] and mathml(latex) == mathml(latex, tokenize(latex))


def test_tokens_of_another_formula_are_not_named() -> None:
    assert mathml("x+y", ("x", "-", "y")) == mathml("x+y", ("x", "+")) == mathml("x+y")


def test_what_is_no_formula_is_not_typeset() -> None:
    assert mathml(r"\left(") is None
