"""A label and its tree say the same; what is no label has no tree."""

from __future__ import annotations

import pytest

from components.latex.normalizer import normalize
from components.latex.tokenizer import tokenize
from components.latex.tree import ROW, SCRIPT, Tree, TreeError, parse, row, tokens_of

LABELS = [
    r"x",
    r"x^{2}_{1}+\frac{a}{b_{c}}",
    r"\sqrt[3]{x+1}",
    r"\hat{x}\overline{a+b}",
    r"\begin{matrix}a&b\\c&\frac{1}{2}\end{matrix}",
    r"{y^{*}}^{2}",
    r"^{2}x",
    r"\underset{x}{\rightarrow}",
    r"\sum_{i=0}^{n}i",
]


@pytest.mark.parametrize("label", LABELS)
def test_a_tree_gives_its_label_back(label: str) -> None:
    tokens = tokenize(normalize(label))
    assert tuple(tokens_of(parse(tokens))) == tokens


def test_a_tree_knows_what_belongs_to_what() -> None:
    tree = parse(tokenize(r"a+\frac{b^{2}}{c}"))
    assert tree.head == ROW and [part.head for part in tree.parts if part] == ["a", "+", r"\frac"]
    fraction = tree.parts[2]
    assert fraction is not None
    assert fraction.parts == (Tree(SCRIPT, (Tree("b"), None, Tree("2"))), Tree("c"))


@pytest.mark.parametrize("label", ["{x", "x}", r"\frac{1}", "x^{1}^{2}", "a&b", r"\xrightarrow{f}"])
def test_what_is_no_tree_is_refused(label: str) -> None:
    with pytest.raises(TreeError):
        parse(tokenize(label))


def test_rows_in_rows_are_one_row_and_a_single_part_is_no_row() -> None:
    a, b = Tree("a"), Tree("b")
    assert row([row([a, b]), a]) == Tree(ROW, (a, b, a))
    assert row([a]) == a
