from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.latex.function_names import name_functions, spell_functions
from components.latex.normalizer import normalize
from components.latex.tokenizer import detokenize, tokenize


@pytest.mark.parametrize(
    ("label", "named"),
    [
        (r"\sin^2\theta", r"\sin^{2}\theta"),
        (r"\lim_{x\to 0}\frac{\sin x}{x}", r"\lim_{x\to0}\frac{\sin x}{x}"),
        (r"\lim_{x\to a}f\to b", r"\lim_{x\to a}f\rightarrow b"),
        (r"\limsup_{n\to\infty}{a_{n\to 1}}", r"\limsup_{n\to\infty}a_{n\rightarrow1}"),
        (r"2a\sin x\cos y", r"2a\sin x\cos y"),
        (r"x_{\max}", r"x_{\max}"),
        (r"\log_2n+\ln x+\exp(x)", r"\log_{2}n+\ln x+\exp(x)"),
        (r"\int x\sin nx\,dx", r"\int x\sin nxdx"),
        (r"\arcsin x+\sinh x+a\arctan\pi", r"\arcsin x+\sinh x+a\arctan\pi"),
        (r"a\equiv b\pmod n", r"a\equiv b(\bmod n)"),
        (r"\Pr(X)", r"\Pr(X)"),
        # LaTeX has no command for these
        (r"\sgn x+\arsinh x", r"\operatorname{sgn}x+\operatorname{arsinh}x"),
        (r"\operatorname{tr}(A)+tr", r"\operatorname{tr}(A)+tr"),
        # words, and products
        (r"\text{minimum}", "minimum"),
        (r"\text{using a large model}", "usingalargemodel"),
        (r"\text{since }x", "sincex"),
        (r"\text{kernel}", "kernel"),
        (r"\mathrm{Prob}(X)", "Prob(X)"),
        (r"s i_n", "si_{n}"),
        (r"si{n}^2", r"\sin^{2}"),
        (r"\mathbb{s}in", r"\mathbb{s}in"),
    ],
)
def test_names_functions_as_a_reader_would(label: str, named: str) -> None:
    tokens = tokenize(normalize(label))
    formula = name_functions(tokens)
    assert formula.latex == named
    assert spell_functions(formula.tokens) == tokens
    assert normalize(formula.latex) == detokenize(tokens)


def test_tells_where_each_token_comes_from() -> None:
    formula = name_functions(tokenize(r"2sin^{2}x"))
    assert formula.tokens == ("2", r"\sin", "^", "{", "2", "}", "x")
    assert formula.spans == ((0, 1), (1, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9))
    assert formula.positions == (0, 1, 1, 1, 2, 3, 4, 5, 6)


def test_takes_lists_and_nothing() -> None:
    assert name_functions(["t", "r", "("]).tokens == (r"\operatorname{tr}", "(")
    assert name_functions([]).tokens == ()
    assert name_functions([]).spans == ()


_PARTS = st.sampled_from(
    [
        "sin",
        "lim",
        "x",
        "s",
        "in",
        "max",
        "tr(",
        "sgn",
        r"_{x\to 0}",
        "^2",
        r"\alpha ",
        "d",
        "mod",
        "{a}^2",
        "or",
        "(",
        "log",
    ]
)


@given(st.lists(_PARTS, min_size=1, max_size=8))
def test_names_are_undone(parts: list[str]) -> None:
    label = "".join(f"{{{part}}}" if part[0] in "_^" else part for part in parts)
    tokens = tokenize(normalize(label))
    formula = name_functions(tokens)
    assert spell_functions(formula.tokens) == tokens
    assert normalize(formula.latex) == detokenize(tokens)
    assert [place for start, end in formula.spans for place in range(start, end)] == list(range(len(tokens)))
    assert len(formula.positions) == len(tokens)
