"""Several lines of writing are told; the parts of one formula that stand above one another are not lines."""

from __future__ import annotations

import numpy as np
import pytest

from components.ink.ink import Stroke
from components.ink.raster import RasterSettings, draw
from components.recognizer.lines import count_lines
from components.recognizer.preprocessing import prepare_pixels
from tests.recognizer.inks import formula

SETTINGS = RasterSettings(symbol=20, max_height=192, max_width=640)


def moved(strokes: tuple[Stroke, ...], x: float, y: float, size: float = 1) -> list[Stroke]:
    return [stroke * np.float32(size) + np.float32([x, y]) for stroke in strokes]


def letters(x: float, y: float, count: int = 5, size: float = 1) -> list[Stroke]:
    """A row of the letter x, 12 units high."""
    cross = formula()[:2]
    return [s for n in range(count) for s in moved(cross, x + 14 * n * size, y - 8 * size, size)]


def bar(x: float, y: float, width: float) -> list[Stroke]:
    return [np.array([(x, y), (x + width / 2, y + 1), (x + width, y)], np.float32)]


def paths(*points: list[tuple[float, float]]) -> list[Stroke]:
    return [np.array(path, np.float32) for path in points]


def sloping(strokes: list[Stroke], slope: float) -> list[Stroke]:
    return [stroke + stroke[:, :1] * np.float32([0, slope]) for stroke in strokes]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("slope", [0.0, 0.05, -0.05])
def test_lines_below_one_another_are_counted(count: int, slope: float) -> None:
    strokes = [s for n in range(count) for s in letters(0, 24 * n, count=5 + n)]
    assert count_lines(draw(sloping(strokes, slope), SETTINGS)) == count


def test_formulas_with_fractions_are_lines_too() -> None:
    strokes = [s for n in range(2) for s in [*moved(formula(), 0, 60 * n), *moved(formula(), 60, 60 * n)]]
    assert count_lines(draw(strokes, SETTINGS)) == 2


def test_they_are_seen_on_a_photograph() -> None:
    large = draw(
        [*letters(0, 0), *letters(0, 26)], SETTINGS.model_copy(update={"symbol": 60, "max_height": 900})
    )
    paper = np.pad(np.minimum(large, 225), 80, constant_values=225)
    assert count_lines(prepare_pixels(paper, SETTINGS).picture) == 2


@pytest.mark.parametrize(
    "strokes",
    [
        list(formula()),
        letters(0, 0, count=9),
        [*letters(0, 0), *bar(-4, 17, 80), *letters(0, 24)],
        [*letters(0, 0), *letters(75, 18, count=2), *bar(-4, 17, 70), *letters(0, 24)],
        [  # ∑ with a long limit
            *paths([(40, -12), (10, -12), (26, 2), (10, 16), (40, 16)]),
            *letters(50, 0, count=3),
            *letters(0, 22, count=5, size=0.6),
        ],
        [*letters(0, 0, count=6), *letters(8, -14, count=5, size=0.5)],  # scripts, all of them higher
        [  # a matrix in brackets
            *paths([(-4, -4), (-10, -4), (-10, 40), (-4, 40)], [(72, -4), (78, -4), (78, 40), (72, 40)]),
            *letters(0, 0),
            *letters(0, 24),
        ],
        [
            *paths([(-6, -6), (-10, 0), (-10, 15), (-14, 18), (-10, 21), (-10, 36), (-6, 42)]),
            *letters(0, 0),
            *letters(0, 24),
        ],
        paths([(5, 5)]),
        paths([(0, 0), (30, 0)], [(0, 10), (30, 10)]),
    ],
    ids=[
        "x = 1/2",
        "one line",
        "fraction",
        "fraction and more",
        "sum",
        "scripts",
        "matrix",
        "cases",
        "dot",
        "=",
    ],
)
def test_one_formula_is_one_line(strokes: list[Stroke]) -> None:
    assert count_lines(draw(strokes, SETTINGS)) == 1


def test_blank_paper_has_no_second_line() -> None:
    assert count_lines(np.full((40, 90), 255, np.uint8)) == 1
