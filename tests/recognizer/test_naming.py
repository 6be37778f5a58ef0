r"""Predictions for people: `\sin` in the formula, its alternatives and its boxes."""

from __future__ import annotations

from components.latex.tokenizer import tokenize
from components.recognizer.explanation import TokenAlternative, TokenBox
from components.recognizer.naming import with_function_names
from components.recognizer.recognizer import Alternative, Prediction


def prediction(latex: str, *, explained: bool = True) -> Prediction:
    tokens = tokenize(latex)
    boxes = tuple(
        TokenBox(token, 0, 0, (10.0 * i, float(i), 10.0 * i + 5, 20.0), (TokenAlternative(token, 0.9),))
        for i, token in enumerate(tokens)
    )
    others = (Alternative(r"\tan x", 0.1),)
    return Prediction(latex, tokens, 0.75, others, token_boxes=boxes if explained else None)


def test_names_replace_letters_everywhere() -> None:
    named = with_function_names(prediction("2sinx", explained=False))
    assert (named.latex, named.tokens) == (r"2\sin x", ("2", r"\sin", "x"))
    assert named.token_boxes is None and named.confidence == 0.75


def test_a_name_has_the_ink_of_its_letters() -> None:
    named = with_function_names(prediction("2sinx"))
    assert named.token_boxes
    two, sin, x = named.token_boxes
    assert (sin.token, sin.box, sin.alternatives) == (r"\sin", (10.0, 1.0, 35.0, 20.0), ())
    assert [named.latex[b.start : b.end] for b in (two, sin, x)] == ["2", r"\sin", "x"]
    assert x.alternatives == (TokenAlternative("x", 0.9),)


def test_alternatives_are_named() -> None:
    given = Prediction("x", ("x",), 0.5, (Alternative(r"cosx", 0.2),))
    assert with_function_names(given).alternatives == (Alternative(r"\cos x", 0.2),)
