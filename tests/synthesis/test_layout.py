"""Formulas that are put together from symbols stand where a reader expects them."""

from __future__ import annotations

import numpy as np
import pytest

from components.ink.ink import Ink, Symbol
from components.latex.tokenizer import tokenize
from components.latex.tree import parse
from components.synthesis.layout import LayoutError, compose
from components.synthesis.symbol_bank import Box, SymbolBank, box_of

BOX = np.float32([[0, 0], [3, 0], [3, 4], [0, 4], [0, 0]])
LINE = np.float32([[0, 0], [9, 0.2]])
DOT = np.float32([[5, 5]])


def samples() -> SymbolBank:
    symbols = [(token, BOX) for token in [*"abxi()n01=", r"\sqrt", r"\sum", r"\hat"]]
    symbols += [("-", LINE), (".", DOT), (r"\overline", LINE)]
    return SymbolBank.of_inks([((stroke,), (Symbol(token, (0,)),)) for token, stroke in symbols])


def written(label: str, seed: int = 0) -> Ink:
    return compose(parse(tokenize(label)), samples(), np.random.default_rng(seed), "x")


def boxes(ink: Ink) -> list[Box]:
    return [box_of([ink.strokes[index] for index in symbol.strokes]) for symbol in ink.symbols]


@pytest.mark.parametrize("seed", range(5))
def test_a_row_goes_to_the_right(seed: int) -> None:
    ink = written("a=b.x", seed)
    assert [symbol.token for symbol in ink.symbols] == list("a=b.x")
    assert ink.label == "a=b.x"
    places = [box.mean(axis=0)[0] for box in boxes(ink)]
    assert places == sorted(places)


@pytest.mark.parametrize("seed", range(5))
def test_of_a_fraction_the_bar_is_between_and_as_wide_as_both(seed: int) -> None:
    ink = written(r"\frac{a+1}{b}".replace("+", "="), seed)
    assert [symbol.token for symbol in ink.symbols] == ["-", "a", "=", "1", "b"]
    bar, *over, under = boxes(ink)
    assert all(box[1][1] < bar[0][1] and bar[0][0] <= box[0][0] for box in over)  # y goes downwards
    assert under[0][1] > bar[1][1]
    assert bar[1][0] >= max(box[1][0] for box in over)


@pytest.mark.parametrize("seed", range(5))
def test_scripts_are_smaller_and_above_and_below(seed: int) -> None:
    base, sub, sup = boxes(written("x_{i}^{n}", seed))
    assert sub[1][1] > base[1][1] and sup[0][1] < base[0][1] + 0.5 * np.ptp(base, axis=0)[1]
    assert sub[0][0] > base.mean(axis=0)[0] and sup[0][0] > base.mean(axis=0)[0]
    assert np.ptp(sup, axis=0)[1] < 1.1 * np.ptp(base, axis=0)[1]


@pytest.mark.parametrize("seed", range(5))
def test_a_root_covers_what_stands_under_it(seed: int) -> None:
    root, *inside = boxes(written(r"\sqrt{a=1}", seed))
    assert all(root[0][0] < box[0][0] and root[0][1] < box[0][1] for box in inside)


def test_an_accent_stands_over_its_symbol_and_an_index_before_its_root() -> None:
    hat, x = boxes(written(r"\hat{x}"))
    assert hat[1][1] <= x[0][1]
    root, body, index = boxes(written(r"\sqrt[0]{x}"))[:3]
    assert min(body[0][0], index[0][0]) < root[1][0]


def test_cells_of_a_matrix_stand_in_columns_and_lines() -> None:
    a, b, x, n = boxes(written(r"\begin{matrix}a&b\\x&n\end{matrix}"))
    assert a[1][0] < b[0][0] and x[1][0] < n[0][0] and a[1][1] < x[0][1] and b[1][1] < n[0][1]


def test_a_symbol_without_sample_is_an_error() -> None:
    with pytest.raises(LayoutError, match=r"no sample of \\pi"):
        written(r"\pi")


ALPHABET = [*"abxXcC()[]01,=+|", r"\{", r"\sum", r"\int", r"\vec", r"\hat", r"\dot", r"\overbrace",
            r"\underbrace", r"\prime", r"\rightarrow", r"\prod"]  # fmt: skip


def everything() -> SymbolBank:
    return SymbolBank.of_inks(
        [((BOX,), (Symbol(token, (0,)),)) for token in ALPHABET] + [((LINE,), (Symbol("-", (0,)),))]
    )


def laid_out(label: str, seed: int) -> dict[str, list[Box]]:
    ink = compose(parse(tokenize(label)), everything(), np.random.default_rng(seed), "x")
    found: dict[str, list[Box]] = {}
    for symbol in ink.symbols:
        found.setdefault(symbol.token, []).append(box_of([ink.strokes[index] for index in symbol.strokes]))
    return found


def height(box: Box) -> float:
    return float(np.ptp(box, axis=0)[1])


def test_a_capital_is_taller_than_its_small_letter() -> None:
    ratios = []
    for seed in range(40):
        found = laid_out("xXcC", seed)
        ratios += [height(found[big][0]) / height(found[small][0]) for small, big in ("xX", "cC")]
    assert np.median(ratios) > 1.4 and np.mean(np.array(ratios) > 1.1) > 0.85


@pytest.mark.parametrize("seed", range(5))
def test_marks_of_accents_have_sizes_of_their_own(seed: int) -> None:
    dot, hat = laid_out(r"\dot{x}", seed)[r"\dot"][0], laid_out(r"\hat{x}", seed)[r"\hat"][0]
    assert np.ptp(dot, axis=0).max() < 0.6 * np.ptp(hat, axis=0).max()
    wide = laid_out(r"\overbrace{a+b+x}", seed)
    extent = wide["x"][0][1][0] - wide["a"][0][0][0]
    assert np.ptp(wide[r"\overbrace"][0], axis=0)[0] > 0.6 * extent
    assert wide[r"\overbrace"][0][1][1] < wide["+"][0][0][1]


@pytest.mark.parametrize("seed", range(5))
def test_what_a_brace_counts_stands_over_or_under_it(seed: int) -> None:
    over, under = laid_out(r"\overbrace{a+b}^{x}", seed), laid_out(r"\underbrace{a+b}_{x}", seed)
    assert over["x"][0][1][1] < over[r"\overbrace"][0][0][1]
    assert under["x"][0][0][1] > under[r"\underbrace"][0][1][1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "label", [r"(\begin{matrix}a&b\\ 0&1\end{matrix})", r"(\begin{matrix}a\\ b\end{matrix})^{x}"]
)
def test_fences_are_as_high_as_their_matrix(label: str, seed: int) -> None:
    found = laid_out(label, seed)
    cells = np.concatenate([box for token in "ab01" for box in found.get(token, [])])
    for token in "()":
        top, bottom = found[token][0][:, 1]
        assert top <= cells[:, 1].min() + 9 and bottom >= cells[:, 1].max() - 9


@pytest.mark.parametrize("seed", range(5))
def test_a_brace_without_partner_encloses_its_cases(seed: int) -> None:
    found = laid_out(r"\{\begin{matrix}a&x=0\\ b&x=1\end{matrix}", seed)
    top, bottom = found[r"\{"][0][:, 1]
    assert top <= found["a"][0][0][1] + 9 and bottom >= found["b"][0][1][1] - 9


def test_an_empty_matrix_between_fences_is_laid_out() -> None:
    assert set(laid_out(r"(\begin{matrix}\end{matrix})", 0)) == {"(", ")"}
