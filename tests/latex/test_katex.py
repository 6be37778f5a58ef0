"""What the normalizer writes is LaTeX: KaTeX, which npm installs for the test, parses it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from components.evaluation.katex import install_katex, katex_refusals
from components.evaluation.label_coverage import normalize_all, read_lists
from components.latex.commands import ACCENTS, OPTIONAL, PAIRS, SPELLINGS, SYMBOLS
from components.latex.errors import LabelError
from components.latex.function_names import name_functions
from components.latex.normalizer import normalize
from components.latex.tokenizer import tokenize
from tests.latex.test_normalizer import LABELS
from tests.latex.test_real_labels import archived

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def katex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("katex")
    try:
        install_katex(folder)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"KaTeX can't be installed: {error}")
    return folder


def test_katex_parses_every_symbol_and_construct(katex: Path) -> None:
    labels = [
        *sorted(SYMBOLS),
        *(rf"{accent}{{x}}" for accent in ACCENTS | OPTIONAL),
        *(rf"{pair}{{x}}{{y}}" for pair in PAIRS),
    ]
    assert katex_refusals(labels, katex) == []


def test_katex_parses_what_is_normalized(katex: Path) -> None:
    labels = [normalize(label) for label in LABELS]
    for spelling in SPELLINGS:
        try:
            labels.append(normalize(spelling))
        except LabelError as error:  # accents lack what is below them, and some spell a brace or a script
            assert error.reason in ("argument", "braces", "empty", "rows"), spelling
    assert katex_refusals(labels, katex) == []


def test_katex_parses_function_names(katex: Path) -> None:
    named = [name_functions(tokenize(normalize(label))).latex for label in LABELS]
    named += [r"\operatorname{sgn}x", r"a\bmod n", r"\lim_{x\to0}\sin^{2}x"]
    assert katex_refusals(named, katex) == []


@pytest.mark.nightly
def test_katex_parses_every_real_formula_that_is_accepted(katex: Path) -> None:
    lists = read_lists(archived("formulas.tar.xz"))
    labels = {label for formulas in lists.values() for label in normalize_all(formulas).labels}
    assert len(labels) > 60_000
    assert katex_refusals(sorted(labels), katex) == []


def test_katex_refuses_what_is_no_latex(katex: Path) -> None:
    assert katex_refusals([r"\frac{a", "x", "x^2^3"], katex) == [r"\frac{a", "x^2^3"]
