"""Each token gets the ink that the decoder looked at, and no other token's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ink.raster import Box, RasterSettings, draw_placed
from components.latex.structure import written
from components.latex.tokenizer import detokenize, tokenize
from components.latex.vocabulary import EOS, Vocabulary
from components.recognizer.bundle import BundleSettings, DecodingConfig
from components.recognizer.engine import Floats, KVCache, Memory, Step, Tokens
from components.recognizer.explanation import Explanation, TokenBox, explain, token_boxes
from components.recognizer.recognizer import Recognizer
from components.synthesis.formula_grammar import formula as any_formula
from components.synthesis.formula_grammar import label_tokens
from tests.recognizer.engines import TableEngine
from tests.recognizer.inks import formula

CELL = 8
TOKENS = tokenize(r"x=\frac{1}{2}")
PARTS = {0: slice(0, 2), 1: slice(2, 4), 2: slice(5, 6), 4: slice(4, 5), 7: slice(6, 7)}  # token: strokes
PICTURE, PLACE = draw_placed(formula(), RasterSettings())


def boxes_of(tokens: Sequence[str], seen: Floats, picture: np.ndarray) -> tuple[TokenBox, ...]:
    """The boxes of tokens that were seen so, and expected with certainty."""
    vocabulary = Vocabulary.build([tokens])
    certain = np.eye(len(vocabulary), dtype=np.float32)[vocabulary.encode(tokens)]
    return token_boxes(vocabulary, tokens, Explanation(seen, certain), picture, CELL)


def blots(centres: dict[int, tuple[float, float]], tokens: int, picture: np.ndarray) -> Floats:
    """Attention as guidance teaches it: a cell wide, at places of the picture; elsewhere it is noise."""
    rows, columns = (-(-side // CELL) for side in picture.shape)
    seen = np.random.default_rng(3).random((tokens, rows, columns)).astype(np.float32)
    y, x = np.mgrid[:rows, :columns]
    for token, (left, top) in centres.items():
        apart = (x + 0.5 - left / CELL) ** 2 + (y + 0.5 - top / CELL) ** 2
        seen[token] = np.exp(-apart / 2) + 1e-3
    return np.asarray((seen / seen.sum(axis=(1, 2), keepdims=True)).reshape(tokens, -1), np.float32)


def box_of(part: slice) -> Box:
    """Of strokes, in their units."""
    points = np.concatenate(formula()[part])
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)


def seen_of_formula() -> Floats:
    boxes = {token: box_of(part) for token, part in PARTS.items()}
    places = {
        token: (
            ((x0 + x1) / 2 - PLACE.left) * PLACE.scale,
            ((y0 + y1) / 2 - PLACE.top) * PLACE.scale,
        )
        for token, (x0, y0, x1, y1) in boxes.items()
    }
    return blots(places, len(TOKENS), PICTURE)


def test_each_symbol_gets_its_strokes_and_braces_get_none() -> None:
    found = boxes_of(TOKENS, seen_of_formula(), PICTURE)
    assert [look.token for look in found] == list(TOKENS)
    assert [place for place, look in enumerate(found) if look.box] == list(PARTS)
    for place, part in PARTS.items():
        box = found[place].box
        assert box is not None
        # The pen is two pixels wide, and drawn to whole pixels.
        np.testing.assert_allclose(PLACE.back(box), box_of(part), atol=2.5 / PLACE.scale)


def test_writing_that_touches_is_shared() -> None:
    picture = np.full((24, 64), 255, np.uint8)
    picture[10:14, 4:60] = 0
    left, right = boxes_of(("a", "b"), blots({0: (14, 12), 1: (50, 12)}, 2, picture), picture)
    assert left.box == (4, 10, pytest.approx(32, abs=2), 14)
    assert right.box == (pytest.approx(32, abs=2), 10, 60, 14)


def test_of_more_tokens_than_ink_each_gets_some() -> None:
    picture = np.full((16, 16), 255, np.uint8)
    picture[8, 8] = 0
    found = boxes_of(tuple("aab"), np.ones((3, 4), np.float32), picture)
    assert {look.box for look in found} == {(8, 8, 9, 9)}


@pytest.mark.parametrize(
    ("seen", "picture"),
    [
        (np.zeros((0, 0), np.float32), PICTURE),
        (np.ones((len(TOKENS), 5), np.float32), PICTURE),
        (np.ones((len(TOKENS), 4), np.float32), np.full((16, 16), 255, np.uint8)),
    ],
    ids=["an engine that does not tell", "cells of another shape", "no ink"],
)
def test_where_nothing_is_known_there_are_no_boxes(seen: Floats, picture: np.ndarray) -> None:
    assert [b.box for b in boxes_of(TOKENS, seen, picture)] == [None] * len(TOKENS)


@given(st.integers(0, 2**32 - 1))
def test_tokens_are_found_in_the_latex(seed: int) -> None:
    tokens = tuple(label_tokens(any_formula(np.random.default_rng(seed), 40)))
    found = boxes_of(tokens, np.zeros((0, 0), np.float32), PICTURE)
    latex = detokenize(tokens)
    assert [latex[look.start : look.end] for look in found] == list(tokens)
    assert all(one.end <= next_.start for one, next_ in pairwise(found))


def test_the_brackets_of_a_degree_are_not_written() -> None:
    tokens = tokenize(r"\sqrt[\sqrt[3]{2}]{[x]}")
    assert [tokens[place] for place in written(tokens)] == [r"\sqrt", r"\sqrt", "3", "2", "[", "x", "]"]


class TestReading:
    VOCABULARY = Vocabulary.build([["x", "y"]])
    X, Y = VOCABULARY.encode(["x", "y"])

    def recognizer(self, engine: TableEngine) -> Recognizer:
        settings = BundleSettings(
            raster=RasterSettings(), multiple=CELL, decoding=DecodingConfig(max_tokens=8)
        )
        return Recognizer(engine, self.VOCABULARY, settings)

    def test_answers_of_any_length_are_looked_at_in_one_step(self) -> None:
        table: list[dict[tuple[int, ...], dict[int, float]]] = [
            {(): {self.X: 1.0}, (self.X,): {self.Y: 1.0}, (self.X, self.Y): {EOS: 1.0}},
            {(): {self.Y: 1.0}, (self.Y,): {EOS: 1.0}},
        ]
        pictures = [np.full((8, 8), 255, np.uint8) for _ in table]
        pictures[0][2, 3], pictures[1][4, 5] = 0, 1
        one, other = self.recognizer(TableEngine(table, len(self.VOCABULARY))).read(pictures, explain=True)
        assert one.token_boxes and [(b.token, b.box) for b in one.token_boxes] == [
            ("x", (3, 2, 4, 3)), ("y", (3, 2, 4, 3))
        ]  # fmt: skip
        assert other.token_boxes and [b.box for b in other.token_boxes] == [(5, 4, 6, 5)]
        [plain] = self.recognizer(TableEngine(table, len(self.VOCABULARY))).read(pictures[:1])
        assert plain.token_boxes is None

    def test_an_engine_that_does_not_tell_reads_all_the_same(self) -> None:
        class Silent(TableEngine):
            def step(self, tokens: Tokens, cache: KVCache, memory: Memory) -> Step:
                step = super().step(tokens, cache, memory)
                return Step(step.logits, step.keys, step.values, ())

        engine = Silent([{(): {self.X: 1.0}, (self.X,): {EOS: 1.0}}], len(self.VOCABULARY))
        assert (
            explain(engine, engine.encode(np.ones((1, 1, 8, 8), np.float32)), [[self.X]])[0].attention.size
            == 0
        )
        [reading] = self.recognizer(engine).read([np.zeros((8, 8), np.uint8)], explain=True)
        assert reading.token_boxes and [(b.token, b.box) for b in reading.token_boxes] == [("x", None)]

    def test_a_token_has_its_likeliest_alternatives(self) -> None:
        engine = TableEngine([{(): {self.X: 0.7, self.Y: 0.3}, (self.X,): {EOS: 1.0}}], len(self.VOCABULARY))
        [reading] = self.recognizer(engine).read([np.zeros((8, 8), np.uint8)], explain=True)
        assert reading.token_boxes
        [box] = reading.token_boxes
        assert [a.token for a in box.alternatives] == ["x", "y"]
        assert box.alternatives[0].probability > box.alternatives[1].probability
