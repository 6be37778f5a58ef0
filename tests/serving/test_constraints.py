"""What callers know about the formula restricts the search, or is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.latex.tokenizer import tokenize
from components.recognizer.decoding import UNRESTRICTED, Restriction
from components.recognizer.recognizer import Prediction
from tests.serving import conftest
from tests.serving.conftest import VOCABULARY, png, serving

CROSS = {"strokes": [[[0, 0], [8, 10]], [[8, 0], [0, 10]]]}


def numbers(*tokens: str) -> tuple[int, ...]:
    return tuple(VOCABULARY.encode(tokens))


async def restriction(constraints: Any) -> Restriction:
    async with serving() as service:
        answer = await service.client.post("/predict/strokes", json=CROSS | {"constraints": constraints})
        assert answer.status_code == 200, answer.text
        [request] = service.reader.requests
        return request.restriction


async def test_without_constraints_nothing_is_restricted() -> None:
    assert await restriction(None) == UNRESTRICTED


@pytest.mark.parametrize("prefix", [r"\sqrt{x", ["\\sqrt", "{", "x"]])
async def test_a_prefix_is_latex_or_tokens(prefix: Any) -> None:
    assert await restriction({"prefix": prefix}) == Restriction(prefix=numbers(r"\sqrt", "{", "x"))


async def test_function_names_are_spelt_as_the_model_spells_them() -> None:
    assert (await restriction({"prefix": r"\sin x"})).prefix == numbers(*"sinx")


async def test_tokens_are_given_at_their_places() -> None:
    given = await restriction({"tokens": {"4": "x", "1": "+"}})
    assert given == Restriction(tokens=((1, *numbers("+")), (4, *numbers("x"))))
    both = await restriction({"tokens": {"1": "1", "3": "2"}, "prefix": "x1"})
    assert (both.prefix, both.tokens) == (numbers(*"x1"), ((1, *numbers("1")), (3, *numbers("2"))))


async def test_symbols_are_excluded_or_named() -> None:
    without = (await restriction({"exclude": ["x"]})).usable
    assert without is not None and set(VOCABULARY.decode(sorted(without))) == {*VOCABULARY.tokens[4:]} - {"x"}
    digits = (await restriction({"vocabulary": "digits", "exclude": ["9"]})).usable
    assert digits is not None
    assert set(VOCABULARY.decode(sorted(digits))) == {*"012345678+{}", r"\frac"}
    chosen = (await restriction({"vocabulary": ["x"]})).usable
    assert chosen is not None and set(VOCABULARY.decode(sorted(chosen))) == {*"x{}^_", r"\frac", r"\sqrt"}


@pytest.mark.parametrize(
    ("constraints", "field"),
    [
        ({"prefix": r"\alpha"}, "constraints.prefix"),
        ({"prefix": "}"}, "constraints"),
        ({"prefix": "x\\"}, "constraints.prefix"),
        ({"prefix": "x" * 8}, "constraints"),  # the longest formula has 8 tokens
        ({"exclude": ["foo"]}, "constraints.exclude"),
        ({"tokens": {"1": r"\alpha"}}, "constraints.tokens"),
        ({"tokens": {"1": "xx"}}, "constraints.tokens"),
        ({"tokens": {"1": "<eos>"}}, "constraints.tokens"),
        ({"prefix": ["x", "<eos>"]}, "constraints.prefix"),
        ({"exclude": ["<eos>"]}, "constraints.exclude"),
        ({"tokens": {"-1": "x"}}, "constraints.tokens"),
        ({"tokens": {"first": "x"}}, "constraints.tokens"),
        ({"tokens": ["x"]}, "constraints.tokens"),
        ({"tokens": {"8": "x"}}, "constraints"),
        ({"tokens": {"2": "^", "3": "^"}}, "constraints"),
        ({"tokens": {"0": "x"}, "prefix": "1"}, "constraints"),
        ({"tokens": {"3": "x"}, "vocabulary": "digits"}, "constraints"),
        ({"vocabulary": "greek"}, "constraints.vocabulary"),
        ({"vocabulary": []}, "constraints.vocabulary"),
        ({"prefix": "x", "exclude": ["x"]}, "constraints"),
        ({"sufix": "x"}, "constraints.sufix"),
        ("x", "constraints"),
    ],
)
async def test_what_cannot_be_met_is_refused_by_name(constraints: Any, field: str) -> None:
    async with serving() as service:
        answer = await service.client.post("/predict/strokes", json=CROSS | {"constraints": constraints})
        assert (answer.status_code, answer.json()["type"].rsplit(":")[-1]) == (422, "invalid-constraints")
        assert answer.json()["detail"].startswith(field)
        assert not service.reader.requests


async def test_a_picture_takes_constraints_in_query_and_form() -> None:
    async with serving() as service:
        given = json.dumps({"prefix": "x"})
        for how in (
            {"params": {"constraints": given}, "content": png(), "headers": {"content-type": "image/png"}},
            {"files": {"file": png()}, "data": {"constraints": given}},
        ):
            answer = await service.client.post("/predict", **how)
            assert answer.status_code == 200, answer.text
        # The second is the same question: it is answered from the cache.
        assert [request.restriction.prefix for request in service.reader.requests] == [numbers("x")]
        bad = await service.client.post("/predict", params={"constraints": "{"}, content=png())
        assert bad.status_code == 422


async def test_other_constraints_are_another_question() -> None:
    async with serving() as service:
        for given in ({"prefix": "x"}, {"prefix": "1"}, {}, {"tokens": {"0": "x"}}, {"tokens": {"1": "x"}}):
            body = CROSS | {"constraints": given}
            answer = await service.client.post("/predict/strokes", json=body)
            assert answer.headers["x-cache"] == "miss"
        again = await service.client.post("/predict/strokes", json=CROSS)
        assert again.headers["x-cache"] == "hit"


@pytest.mark.parametrize(
    ("names", "formula"), [("functions", r"\frac{1}{\sin x}"), ("letters", r"\frac{1}{sinx}")]
)
async def test_names_are_functions_or_letters(
    names: str, formula: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    latex = r"\frac{1}{sinx}"
    monkeypatch.setattr(conftest, "_prediction", lambda request: Prediction(latex, tokenize(latex), 0.5))
    async with serving() as service:
        asked = {"names": names, "format": "mathml"}
        answer = await service.client.post("/predict/strokes", params=asked, json=CROSS)
        assert answer.json()["formula"] == formula
        assert ("<mi>sin</mi>" in answer.json()["mathml"]) == (names == "functions")
