"""Samplers make formulas that normalize, parse and have what they aim at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from components.latex.commands import ACCENTS, LARGE
from components.latex.normalizer import normalize
from components.latex.structure import UNWRITTEN
from components.latex.tokenizer import tokenize
from components.latex.tree import parse
from components.synthesis import formula_samplers as samplers
from components.synthesis.derived_symbols import DERIVATIONS

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
NAMES = """alpha beta gamma delta zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi
    varphi chi psi omega sum int pm times"""
GREEK = ["\\" + name for name in NAMES.split()]
SYMBOLS = sorted({*LETTERS, *"+-=<>()[]|/.,", *GREEK, *DERIVATIONS} - {r"\xrightarrow", r"\xleftarrow"})
SPECIAL = UNWRITTEN | {r"\frac", r"\sqrt", r"\overset", r"\underset"}


@pytest.mark.parametrize("sampler", [function for _, function in samplers.SAMPLERS], ids=lambda f: f.__name__)
def test_every_sampler_makes_formulas_of_known_symbols(sampler: Callable[[samplers.Source], str]) -> None:
    source = samplers.Source(SYMBOLS, np.random.default_rng(4))
    for _ in range(150):
        tokens = tokenize(normalize(sampler(source)))
        parse(tokens)
        assert set(tokens) <= {*SYMBOLS, *SPECIAL}


@pytest.mark.parametrize(
    ("sampler", "wanted"),
    [
        (samplers.slash, {"/"}),
        (samplers.bars, {"|"}),
        (samplers.primes, {r"\prime"}),
        (samplers.matrix, {r"\begin{matrix}"}),
        (samplers.binomial, {r"\begin{matrix}"}),
        (samplers.cases, {r"\begin{matrix}", r"\{"}),
        (samplers.accents, ACCENTS),
        (samplers.stacked, {r"\overset", r"\underset"}),
        (samplers.lines, {"\\\\"}),
        (samplers.nested, {"^", "_"}),
    ],
)
def test_a_sampler_has_what_it_aims_at(
    sampler: Callable[[samplers.Source], str], wanted: frozenset[str]
) -> None:
    source = samplers.Source(SYMBOLS, np.random.default_rng(4))
    for _ in range(100):
        assert wanted & set(tokenize(normalize(sampler(source))))


def test_limits_are_under_every_kind_of_operator() -> None:
    source = samplers.Source(SYMBOLS, np.random.default_rng(4))
    found = {token for _ in range(2000) for token in tokenize(normalize(samplers.limits(source)))}
    assert found >= (LARGE & set(SYMBOLS)) - {r"\bigodot"}


def test_all_symbols_come_up_alone_and_equal_seeds_give_equal_formulas() -> None:
    source = samplers.Source(SYMBOLS, np.random.default_rng(4))
    alone = {samplers.single(source).strip() for _ in range(8000)}
    assert alone == set(SYMBOLS) - ACCENTS - samplers.NEVER_ALONE
    first, second = (
        [samplers.sample(samplers.Source(SYMBOLS, rng)) for _ in range(50)]
        for rng in (np.random.default_rng(9), np.random.default_rng(9))
    )
    assert first == second


def test_without_the_symbols_others_take_their_place() -> None:
    source = samplers.Source(["x", "1", "=", "+", "-"], np.random.default_rng(4))
    assert source.of((r"\cup", "+")) == "+" and source.accent() == ""
