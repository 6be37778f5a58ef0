from __future__ import annotations

import pytest

from components.latex.structure import structures
from components.latex.tokenizer import tokenize


@pytest.mark.parametrize(
    ("latex", "found"),
    [
        ("a+b", set()),
        (r"\frac{a}{b}", {"fraction"}),
        ("x_{1}", {"script"}),
        (r"\sqrt{x^{2}}", {"root", "script"}),
        (r"\sum\hat{x}", {"sum-like", "accent"}),
        (r"(\begin{matrix}\int&1\end{matrix})", {"matrix", "sum-like"}),
    ],
)
def test_names_what_a_formula_is_made_of(latex: str, found: set[str]) -> None:
    assert structures(tokenize(latex)) == found
