"""What the rasterizer promises: one picture for one ink, whatever its units, its place and its length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.ink.ink import Stroke
from components.ink.raster import (
    Picture,
    RasterSettings,
    bounds,
    draw,
    draw_in,
    draw_placed,
    frame_at,
    median_extent,
    symbol_height,
)

SETTINGS = RasterSettings()

anywhere = st.floats(-(2.0**100), 2.0**100, width=32)
on_a_grid = st.integers(-4096, 4096).map(float)


def inks(coordinates: st.SearchStrategy[float]) -> st.SearchStrategy[list[Stroke]]:
    stroke = st.integers(1, 12).flatmap(lambda n: arrays(np.float32, (n, 2), elements=coordinates))
    return st.lists(stroke, min_size=1, max_size=6)


def ring(x: float, y: float, height: float) -> Stroke:
    """A letter o, as high as it is wide."""
    turn = np.linspace(0, 2 * np.pi, 40)
    return (np.stack([np.cos(turn), np.sin(turn)], axis=1) * height / 2 + (x, y)).astype(np.float32)


def line(*points: tuple[float, float]) -> Stroke:
    return np.array(points, np.float32)


def word(length: int, apart: float = 30) -> list[Stroke]:
    return [ring(apart * i, 0, 20) for i in range(length)]


def darkness(picture: Picture) -> npt.NDArray[np.float64]:
    return (255 - picture.astype(np.float64)) / 255


def centre(picture: Picture) -> npt.NDArray[np.float64]:
    """Centre of mass of the ink: row, column."""
    ink = darkness(picture)
    return np.array([np.average(np.indices(ink.shape)[axis], weights=ink) for axis in (0, 1)])


@settings(deadline=None)
@given(inks(anywhere))
def test_any_ink_fits_the_largest_picture_with_paper_all_round(strokes: list[Stroke]) -> None:
    picture = draw(strokes, SETTINGS)
    height, width = picture.shape
    assert picture.dtype == np.uint8
    assert 2 * SETTINGS.margin < height <= SETTINGS.max_height
    assert 2 * SETTINGS.margin < width <= SETTINGS.max_width
    assert picture.min() < 128, "the ink can't be seen"
    assert (picture[[0, -1]] == 255).all()
    assert (picture[:, [0, -1]] == 255).all()


@settings(deadline=None)
@given(inks(on_a_grid))
def test_the_pictures_ink_is_found_where_it_was_written(strokes: list[Stroke]) -> None:
    picture, where = draw_placed(strokes, SETTINGS)
    rows, columns = np.nonzero(picture < 128)
    box = where.back((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    low, high = bounds(strokes)
    pen = SETTINGS.symbol * SETTINGS.pen + 1.5
    np.testing.assert_allclose(box, [*low, *high], rtol=1e-6, atol=pen / where.scale)


@settings(deadline=None)
@given(inks(on_a_grid), st.integers(-20, 20), st.tuples(on_a_grid, on_a_grid))
def test_units_and_place_do_not_change_the_picture(
    strokes: list[Stroke], power: int, place: tuple[float, float]
) -> None:
    moved = [(stroke + np.float32(place)) * np.float32(2.0**power) for stroke in strokes]
    np.testing.assert_array_equal(draw(moved, SETTINGS), draw(strokes, SETTINGS))


@pytest.mark.parametrize("extent", [0.17, 4.2, 480, 24_480])
def test_the_extents_of_real_inks_give_one_picture(extent: float) -> None:
    strokes = word(8)
    low, high = bounds(strokes)
    factor = np.float32(extent / max(high - low))
    picture, scaled = draw(strokes, SETTINGS), draw([stroke * factor for stroke in strokes], SETTINGS)
    assert scaled.shape == picture.shape
    # The coordinates' last bits decide over some edge pixels.
    assert np.abs(darkness(scaled) - darkness(picture)).mean() < 0.01


@pytest.mark.parametrize("length", [1, 4, 16])
def test_symbols_have_one_size_however_long_the_formula(length: int) -> None:
    assert draw(word(length), SETTINGS).shape[0] == SETTINGS.symbol + 2 * SETTINGS.margin + 1


@pytest.mark.parametrize(
    "more",
    [
        pytest.param([line((-10, 40), (220, 40))], id="a fraction bar"),
        pytest.param([line((-10, 0), (-5, 10), (0, -15), (220, -15))], id="a root"),
        pytest.param([line((5 + i, 30), (5.3 + i, 30.2)) for i in range(0, 40, 4)], id="dots"),
    ],
)
def test_bars_and_dots_do_not_change_the_size_of_letters(more: list[Stroke]) -> None:
    assert symbol_height([*word(8), *more]) == pytest.approx(20, rel=0.1)


def test_letters_that_touch_are_as_high_as_those_that_do_not() -> None:
    touching = [ring(30 * i + near, 0, 20) for i in range(0, 9, 3) for near in (0, 18, 36)]
    assert symbol_height(touching) == pytest.approx(20, rel=0.05)


def test_strokes_and_pictures_are_measured_alike() -> None:
    strokes = [*word(6), line((0, 40), (150, 40))]
    pen = SETTINGS.symbol * SETTINGS.pen
    assert median_extent(draw(strokes, SETTINGS)) == pytest.approx(SETTINGS.symbol + pen, abs=1.5)


def test_a_dot_is_a_dot() -> None:
    picture = draw([line((7, 7))], SETTINGS)
    side = 2 * SETTINGS.margin + 1
    assert picture.shape == (side, side)
    assert centre(picture) == pytest.approx((side // 2, side // 2), abs=0.2)
    assert darkness(picture).sum() == pytest.approx(np.pi, rel=0.7)  # of a pen 2 pixels wide


def test_dots_alone_are_one_symbol() -> None:
    colon = [line((0, 0), (1, 1)), line((0, 30), (1, 31))]
    assert draw(colon, SETTINGS).shape[0] == SETTINGS.symbol + 2 * SETTINGS.margin + 1


@pytest.mark.parametrize(
    "dots",
    [
        pytest.param([], id="minus"),
        pytest.param([line((150, -60)), line((148, 61), (150, 63))], id="division sign"),
    ],
)
def test_a_minus_is_as_wide_as_a_symbol_is_high(dots: list[Stroke]) -> None:
    picture = draw([line((0, 0), (300, 2)), *dots], SETTINGS)
    assert picture.shape[1] == pytest.approx(SETTINGS.symbol + 2 * SETTINGS.margin + 1, abs=1)


@pytest.mark.parametrize("pen", [1.25, 1.75, 2, 2.7, 3.3, 5, 9])
@pytest.mark.parametrize("slope", [0, 0.3, 0.9])
def test_the_pen_is_as_wide_as_asked(pen: float, slope: float) -> None:
    low, high = np.zeros(2), np.array([200, 200 * slope])
    picture = draw_in([line((0, 0), (200, 200 * slope))], frame_at(low, high, 1, 8), 8, pen)
    across = darkness(picture)[:, 60:140].sum(axis=0).mean() / np.hypot(1, slope)
    assert across == pytest.approx(pen, abs=0.35)


def test_what_is_shrunk_is_shrunk_with_its_pen() -> None:
    tight = SETTINGS.model_copy(update={"max_width": 120})
    small = draw(word(12), tight)
    assert small.shape[1] == 120
    assert median_extent(small) < SETTINGS.symbol / 2
    holes = [small[small.shape[0] // 2, round(4 + (i * 30 + 10) * 111 / 350)] for i in range(12)]
    assert min(holes) > 128, "the letters have run together into blots"


def test_a_stroke_is_drawn_where_its_points_are() -> None:
    where = frame_at(np.zeros(2), np.array([20.0, 10.0]), 2, margin=4)
    picture = draw_in([line((3, 5), (3, 5)), line((20, 10))], where, 4, 2)
    assert (where.width, where.height) == (49, 29)
    assert centre(picture[:, :25]) == pytest.approx((14, 10), abs=0.2)
    assert centre(picture[:, 25:]) == pytest.approx((24, 44 - 25), abs=0.2)


@pytest.mark.parametrize(
    ("strokes", "reason"),
    [
        ([], "no stroke"),
        ([line((0, 0), (np.nan, 1))], "finite"),
        ([line((0, 0)), line((1, -np.inf))], "finite"),
    ],
)
def test_what_can_not_be_drawn_is_refused(strokes: list[Stroke], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        draw(strokes, SETTINGS)


def test_paper_has_no_extent() -> None:
    assert median_extent(np.full((20, 30), 255, np.uint8)) == 0
