"""A picture is turned upright where the model is clearly surer then; ink and drawn pictures never are."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest

from components.ink.ink import Ink
from components.ink.inkml import write_inkml
from components.ink.raster import Box, Picture, RasterSettings, bounds, draw, draw_in, frame_at
from components.latex.vocabulary import EOS, Vocabulary
from components.recognizer.bundle import BundleSettings, DecodingConfig
from components.recognizer.orientation import Rotation, Views, clearly_surer
from components.recognizer.preprocessing import prepare_pixels, prepare_source
from components.recognizer.recognizer import Recognizer
from tests.recognizer.engines import TableEngine
from tests.recognizer.inks import formula

SETTINGS = RasterSettings()
VOCABULARY = Vocabulary.build([["x", "y"]])
X, Y = VOCABULARY.encode(["x", "y"])
TURNS: dict[Rotation, int] = {0: 0, 90: 1, 180: 2, 270: 3}  # quarters counter-clockwise that make the picture


def photo(quarters: int = 0) -> Picture:
    """A wide formula, four times as large as it is read, turned counter-clockwise."""
    strokes = [*formula(), *(stroke + np.float32([90, 0]) for stroke in formula())]
    return np.ascontiguousarray(
        np.rot90(draw_in(strokes, frame_at(*bounds(strokes), 6.0, 60), 60, 7), quarters)
    )


def ink_box(picture: Picture) -> Box:
    rows, columns = np.nonzero(picture < 128)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("rotated", TURNS)
def test_each_way_of_holding_a_picture_has_a_view_that_is_upright(rotated: Rotation) -> None:
    upright = prepare_pixels(photo(), SETTINGS).picture
    view = prepare_pixels(photo(TURNS[rotated]), SETTINGS).view(rotated)
    assert np.abs(np.divide(view.shape, upright.shape) - 1).max() < 0.04
    same = cv2.resize(view, upright.shape[::-1])
    assert np.corrcoef(same.ravel(), upright.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("rotated", TURNS)
def test_boxes_of_a_turned_view_are_found_on_the_picture_as_it_was_sent(rotated: Rotation) -> None:
    sent = photo(TURNS[rotated])
    prepared = prepare_pixels(sent, SETTINGS)
    found = prepared.back(ink_box(prepared.view(rotated)), rotated)
    np.testing.assert_allclose(found, ink_box(sent), atol=2 / prepared.where.scale + 3)


def test_ink_and_what_the_rasterizer_drew_are_never_turned() -> None:
    document = BytesIO()
    write_inkml(Ink("formula", formula()), document)
    drawn = cv2.imencode(".png", draw(formula(), SETTINGS))[1].tobytes()
    for source in (document.getvalue(), drawn):
        assert not prepare_source(source, SETTINGS).turned()


def test_a_wide_picture_is_not_prepared_sideways() -> None:
    assert set(prepare_pixels(photo(), SETTINGS).turned()) == {180}
    assert set(prepare_pixels(photo(1), SETTINGS).turned()) == {90, 180, 270}


@pytest.mark.parametrize(
    ("turned", "upright", "surer"),
    [(0.9, 0.1, True), (0.9, 0.8, False), (0.45, 0.0, False), (0.6, 0.4, False)],
)
def test_only_a_clear_margin_turns_a_picture(turned: float, upright: float, surer: bool) -> None:
    assert clearly_surer(turned, upright) is surer


class ByCorner(TableEngine):
    """Reads x surely from a picture whose first pixel is black, and y or x by chance from others."""

    def encode(self, pictures: np.ndarray, alone: bool = True):  # type: ignore[no-untyped-def]
        marked = np.zeros_like(pictures)
        marked[:, 0, 0, 0] = np.where(pictures[:, 0, 0, 0] > 0.5, 1.0, 254 / 255)
        return super().encode(marked, alone)


@pytest.fixture
def recognizer() -> Recognizer:
    sure = {(): {X: 1.0}, (X,): {EOS: 1.0}}
    doubtful = {(): {Y: 0.2, X: 0.2, EOS: 0.6}, (Y,): {EOS: 0.3, X: 0.7}, (X,): {EOS: 0.3, Y: 0.7}}
    settings = BundleSettings(raster=SETTINGS, multiple=8, decoding=DecodingConfig(max_tokens=4))
    return Recognizer(ByCorner([sure, doubtful], len(VOCABULARY)), VOCABULARY, settings)


def marked(row: int, column: int) -> Picture:
    picture = np.full((16, 24), 255, np.uint8)
    picture[row, column] = 0
    return picture


def test_a_picture_upside_down_is_turned_and_the_prediction_says_so(recognizer: Recognizer) -> None:
    [upright, turned, fixed] = recognizer.read_views(
        [Views(marked(0, 0), True), Views(marked(15, 23), True), Views(marked(15, 23))]
    )
    assert (upright.latex, upright.rotated) == ("x", 0)
    assert (turned.latex, turned.rotated) == ("x", 180)
    assert fixed.rotated == 0 and fixed.confidence < 0.5


def test_a_picture_on_its_side_is_turned_the_way_that_is_surer(recognizer: Recognizer) -> None:
    readings = recognizer.read_views(
        [
            Views(marked(5, 5), True, sideways=marked(0, 0)),
            Views(marked(5, 5), True, sideways=marked(15, 23)),
            Views(marked(5, 5), True, sideways=marked(5, 5)),
        ]
    )
    assert [reading.rotated for reading in readings] == [270, 90, 0]


def test_a_sure_reading_costs_no_other(recognizer: Recognizer) -> None:
    recognizer.read_views([Views(marked(0, 0), True)])
    assert len(recognizer.engine.shapes) == 1  # type: ignore[attr-defined]
