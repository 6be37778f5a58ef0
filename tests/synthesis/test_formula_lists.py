"""Lists of formulas: any text of LaTeX, without what is held out, rare symbols more often than they are."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from components.ink.ink import Ink
from components.ink.inkml import write_inkml
from components.latex.tree import tokens_of
from components.synthesis.formula_lists import (
    Counted,
    FormulaList,
    is_held_out,
    labels_of,
    load_formulas,
    read_lists,
    without,
    write_formulas,
)


def everything(token: str) -> bool:
    return True


def test_plain_text_and_counted_lines_are_normalized_and_added_up(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("x^2\nx ^ { 2 }\n\n\\frac 12\n\\nosuchcommand\n")
    (tmp_path / "two.tsv").write_text("7\tD\tx^2\n3\ty\n")
    found = {f.latex: f.count for f in read_lists([tmp_path], everything, 40)}
    assert found == {"x^{2}": 9, r"\frac{1}{2}": 1, "y": 3}


def test_an_archive_is_read_without_its_readme(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("About\n")
    (tmp_path / "f.txt").write_text("a+b\n")
    with tarfile.open(tmp_path / "lists.tar.xz", "w:xz") as tar:
        tar.add(tmp_path / "README.txt", "formulas/README.txt")
        tar.add(tmp_path / "f.txt", "formulas/f.txt")
    assert read_lists([tmp_path / "lists.tar.xz"], everything, 40) == [Counted("a+b", 1)]


def test_what_is_too_long_or_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("a+b+c+d\nx+y\nz\n")
    assert [f.latex for f in read_lists([tmp_path / "f.txt"], lambda token: token != "z", 5)] == ["x+y"]
    with pytest.raises(ValueError, match=r"synthesize\.formulas\.lists: .*f\.txt"):
        read_lists([tmp_path / "f.txt"], lambda token: False, 5)


def test_held_out_labels_of_more_than_five_tokens_are_left_out(tmp_path: Path) -> None:
    stroke = np.float32([[0, 0], [9, 9]])
    for name, label in (("long", "$a+b+c=d$"), ("short", "$x=1$"), ("none", None)):
        write_inkml(Ink(name, (stroke,), label), tmp_path / f"{name}.inkml")
    held_out = frozenset(labels_of(tmp_path))
    assert held_out == {"a+b+c=d", "x=1"}
    formulas = [Counted("a+b+c=d", 2), Counted("x=1", 1), Counted("a+b+c=e", 1)]
    assert [f.latex for f in without(formulas, held_out)] == ["x=1", "a+b+c=e"]
    assert not is_held_out("x=1", held_out) and is_held_out("a+b+c=d", held_out)


def test_formulas_with_rare_symbols_come_up_more_often(tmp_path: Path) -> None:
    write_formulas([Counted("x+1", 1000), Counted("y+1", 1), *(Counted(f"x+{n}", 1) for n in range(2, 60))],
                   tmp_path / "f.tsv")  # fmt: skip
    formulas = FormulaList(load_formulas(tmp_path / "f.tsv"))
    rng = np.random.default_rng(1)
    drawn = Counter("".join(tokens_of(formulas.draw(rng))) for _ in range(4000))
    assert drawn["x+1"] > 4 * drawn["x+2"] > 0, "frequent ones come more often, but not 1,000 times"
    assert drawn["y+1"] > 1.5 * np.mean([drawn[f"x+{n}"] for n in range(2, 9)])
    with pytest.raises(FileNotFoundError, match="dvc repro formulas"):
        load_formulas(tmp_path / "none.tsv")
