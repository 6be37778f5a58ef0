"""Derived symbols have the shapes that the table says."""

from __future__ import annotations

import numpy as np
import pytest

from components.latex.commands import ACCENTS, SYMBOLS
from components.latex.tokenizer import tokenize
from components.synthesis.derived_symbols import (
    DERIVATIONS,
    MissingSymbolError,
    Pen,
    derived_samples,
    line,
    mirrored,
    of,
    placed,
    turned,
)
from components.synthesis.symbol_bank import Sample, SymbolBank, box_of

ELL = (np.float32([[0, 0], [0, 10], [4, 10]]),)  # an L
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
BASES = (*LETTERS, "<", ">", "-", "+", "/", ".", ",", r"\times", r"\sum",
         r"\int", r"\phi", r"\omega", r"\in", r"\pm",
         r"\rightarrow", r"\Delta", r"\alpha", r"\kappa", r"\iota", r"\{", r"\#")  # fmt: skip


def pen() -> Pen:
    return Pen(SymbolBank([(token, Sample(ELL, "own")) for token in BASES]), np.random.default_rng(3))


def test_every_entry_is_a_token_that_labels_have() -> None:
    for token in DERIVATIONS:
        assert tokenize(token) == (token,)
        known = SYMBOLS | ACCENTS | {r"\xrightarrow", r"\xleftarrow"}
        assert len(token) == 1 or token in known or token.startswith(r"\mathbb{"), token


def test_every_recipe_draws_something_finite() -> None:
    drawing = pen()
    for token, recipes in DERIVATIONS.items():
        for recipe in recipes:
            strokes = recipe(drawing)
            assert strokes, token
            for stroke in strokes:
                assert stroke.dtype == np.float32 and stroke.shape[1] == 2 and np.isfinite(stroke).all(), (
                    token
                )


def test_mirrored_and_turned_symbols_stand_where_they_should() -> None:
    drawing = pen()
    (ell,) = of("L")(drawing)
    (mirror,) = mirrored(of("L"))(drawing)
    (upside,) = turned(of("L"), 180)(drawing)
    assert ell[-1][0] > ell[0][0], "an L's foot points right"
    assert mirror[-1][0] < mirror[0][0], "mirrored, it points left"
    assert upside[-1][1] < upside[0][1] and upside[-1][0] < upside[0][0], "upside down it is up, and left"


def test_an_up_arrow_points_up() -> None:
    shaft, head = DERIVATIONS[r"\uparrow"][0](pen())
    assert head[:, 1].mean() < shaft[:, 1].mean()


def test_placed_parts_fill_their_box() -> None:
    strokes = placed(line((0, 0), (3, 5)), (1, 2, 3, 4))(pen())
    np.testing.assert_allclose(box_of(strokes), [[1, 2], [3, 4]], atol=1e-4)


def test_a_brace_over_a_formula_points_up_in_its_middle() -> None:
    (over,) = DERIVATIONS[r"\overbrace"][0](pen())
    (under,) = DERIVATIONS[r"\underbrace"][0](pen())
    for brace, peak in ((over, over[:, 1].argmin()), (under, under[:, 1].argmax())):
        (left, _), (right, _) = box_of((brace,))
        assert 0.4 < (brace[peak, 0] - left) / (right - left) < 0.6
        assert right - left > 3 * np.ptp(brace[:, 1])


@pytest.mark.parametrize("letter", "BDEFHKLMNPR")
def test_the_second_stem_of_a_blackboard_letter_is_apart_from_the_first(letter: str) -> None:
    for recipe in DERIVATIONS[rf"\mathbb{{{letter}}}"]:
        *_, stem = recipe(pen())  # the first one is at 0: it is an L that the bank has for every letter
        assert abs(float(np.median(stem[:, 0]))) > 0.1


def test_two_integrals_stand_side_by_side() -> None:
    first, second = DERIVATIONS[r"\iint"][1](pen())
    assert 0.25 < second[:, 0].mean() - first[:, 0].mean() < 0.5


def test_symbols_are_made_of_derived_letters_too() -> None:
    """Nobody wrote a U, but U is derived of u, and a set's union of U."""
    bank = SymbolBank([("u", Sample(ELL, "own"))])
    found = {token for token, _ in derived_samples(bank, np.random.default_rng(0))}
    assert {"U", r"\mathbb{U}"} <= found and r"\mathbb{B}" not in found


def test_what_lacks_a_part_is_left_out() -> None:
    nothing = SymbolBank([])
    with pytest.raises(MissingSymbolError):
        of("L")(Pen(nothing, np.random.default_rng(0)))
    found = {token for token, _ in derived_samples(nothing, np.random.default_rng(0))}
    assert r"\complement" not in found and r"\Gamma" in found


def test_a_class_that_many_wrote_is_not_derived() -> None:
    written = SymbolBank([(r"\hat", Sample(ELL, "own"))] * 60)
    tokens = [token for token, _ in derived_samples(written, np.random.default_rng(0))]
    assert r"\hat" not in tokens and tokens.count(r"\vec") == 48


def test_at_least_250_classes_come_of_letters_digits_and_the_table() -> None:
    derived = {token for token, _ in derived_samples(pen().bank, np.random.default_rng(0))}
    assert len(derived | set(BASES)) >= 250
