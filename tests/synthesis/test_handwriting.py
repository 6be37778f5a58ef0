from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

from components.ink.inkml import read_inkml
from components.latex.normalizer import normalize
from components.latex.tokenizer import detokenize, tokenize
from components.synthesis.formula_grammar import drawn_leaves, formula, label_tokens, mathtext
from components.synthesis.handwriting import Writer, set_formula, write_split, writer_processes

SEEDS = st.integers(0, 2**32)
SPELT = {"-": "\N{MINUS SIGN}"}


def some_formula(seed: int, max_tokens: int = 24):
    return formula(np.random.default_rng(seed), max_tokens)


@given(SEEDS)
@settings(deadline=None, max_examples=60)
def test_every_drawn_glyph_finds_its_token(seed: int) -> None:
    node = some_formula(seed)
    tokens = list(label_tokens(node))
    parsed = MathTextParser("path").parse(f"${mathtext(node)}$")
    glyphs, rules = drawn_leaves(node)
    assert len(glyphs) == len(parsed.glyphs) and len(rules) == len(parsed.rects)
    assert {tokens[leaf] for leaf in rules} <= {r"\frac", r"\sqrt"}
    for leaf, glyph in zip(glyphs, parsed.glyphs, strict=True):
        token = tokens[leaf]
        if len(token) == 1:
            assert chr(glyph[2]) == SPELT.get(token, token)


@given(SEEDS)
@settings(deadline=None, max_examples=60)
def test_labels_are_normal_and_every_written_token_has_its_strokes(seed: int) -> None:
    typeset = set_formula(some_formula(seed))
    ink, times = Writer(3, 7).write(typeset, "x", np.random.default_rng(seed))
    assert ink.label is not None and normalize(ink.label) == ink.label
    assert tokenize(ink.label) == typeset.tokens
    assert [s.token for s in ink.symbols] == [t for t in typeset.tokens if t not in {"{", "}", "^", "_"}]
    assert sorted(i for s in ink.symbols for i in s.strokes) == list(range(len(ink.strokes)))
    assert all(len(t) == len(s) for t, s in zip(times, ink.strokes, strict=True))
    assert (np.diff(np.concatenate(times)) > 0).all()


def test_two_writers_write_one_formula_differently_and_one_writer_never_twice_the_same() -> None:
    typeset = set_formula(some_formula(5))
    rng = np.random.default_rng(0)
    first, second = (Writer(1, 7).write(typeset, "x", rng)[0] for _ in range(2))
    other, _ = Writer(2, 7).write(typeset, "x", rng)
    sizes = {ink: float(np.ptp(np.concatenate(ink.strokes), axis=0).max()) for ink in (first, second, other)}
    assert first.strokes[0].tolist() != second.strokes[0].tolist()
    assert abs(sizes[first] / sizes[second] - 1) < 0.2 < abs(sizes[first] / sizes[other] - 1)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with writer_processes() as processes:
        yield processes


@pytest.fixture(scope="module")
def written(processes: Executor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic")
    for split, count in (("train", 40), ("valid", 12), ("test", 12)):
        write_split(root / split, split, count, processes, seed=3, max_tokens=8, writers=30, repeats=2)
    return root


def test_no_formula_and_no_writer_is_in_two_splits(written: Path) -> None:
    inks = {
        split: [read_inkml(p) for p in (written / split).iterdir()] for split in ("train", "valid", "test")
    }
    assert {split: len(of) for split, of in inks.items()} == {"train": 40, "valid": 12, "test": 12}
    for what in ("label", "writer"):
        kinds = [{getattr(ink, what) for ink in of} for of in inks.values()]
        assert len(set.union(*kinds)) == sum(map(len, kinds))
    labels = [ink.label for ink in inks["train"]]
    assert len(set(labels)) == 20, "each training formula is written twice"
    assert all(ink.label == detokenize(tokenize(ink.label)) for ink in inks["test"])


def test_the_same_seed_writes_the_same_files(written: Path, processes: Executor, tmp_path: Path) -> None:
    write_split(tmp_path, "valid", 12, processes, seed=3, max_tokens=8, writers=30, repeats=2)
    for path in (written / "valid").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_too_many_formulas_for_the_length_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [formula(np.random.default_rng(seed), 8) for seed in range(20)]
    monkeypatch.setattr("components.synthesis.handwriting.formula", lambda rng, _: few[rng.integers(20)])
    with pytest.raises(ValueError, match=r"data\.synthetic: found only \d+ different formulas .* for train"):
        write_split(tmp_path, "train", 100, ThreadPoolExecutor(1), seed=3, max_tokens=8, writers=5, repeats=2)
