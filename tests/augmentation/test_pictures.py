"""Pictures without strokes are varied as ink is: turned, scaled, another pen, and never too large."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from components.augmentation.pictures import vary_picture
from components.augmentation.strokes import AugmentConfig
from components.config import Params
from components.ink.raster import Picture, RasterSettings, draw
from tests.pictures import written

RASTER = RasterSettings(symbol=16, pen=0.1, margin=4, max_height=96, max_width=320)


@pytest.fixture
def picture() -> Picture:
    return draw(written(3).strokes, RASTER)


def still(params: Params, **change: object) -> AugmentConfig:
    """Nothing varies but what `change` says."""
    nothing = {"scale": (1, 1), "rotate": 0.0, "shear": 0.0, "pen": (0.1, 0.1), "noise": 0.0}
    return params.train.augment.model_copy(update=nothing | change)


def vary(picture: Picture, variation: AugmentConfig, size: float = 1.0, seed: int = 1) -> Picture:
    return vary_picture(picture, size, variation, RASTER, np.random.default_rng(seed))


def blackness(picture: Picture) -> float:
    return float((255 - picture.astype(float)).sum() / 255)


def test_the_same_numbers_give_the_same_picture_and_others_another(picture: Picture, params: Params) -> None:
    variation = params.train.augment
    first, again, other = (vary(picture, variation, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_without_noise_paper_stays_white_and_the_margins_are_those_of_training(
    picture: Picture, params: Params
) -> None:
    varied = vary(picture, still(params, rotate=5.0, shear=0.2))
    ink = varied < 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    height, width = varied.shape
    margins = (rows[0], columns[0], height - 1 - rows[-1], width - 1 - columns[-1])
    assert margins == (RASTER.margin,) * 4
    assert np.percentile(varied, 60) == 255


def test_a_wider_pen_blackens_and_a_narrower_one_leaves_the_ink_there(
    picture: Picture, params: Params
) -> None:
    same, wide, thin = (vary(picture, still(params, pen=(pen, pen))) for pen in (0.1, 0.2, 0.02))
    assert blackness(thin) < 0.9 * blackness(same) < 0.8 * blackness(wide)
    strokes = [cv2.connectedComponents((p < 200).view(np.uint8))[0] for p in (same, thin)]
    assert strokes[0] == strokes[1], "no stroke vanishes or breaks"


@pytest.mark.parametrize("size", [0.5, 1.0, 6.0])
def test_the_size_is_what_is_asked_for_up_to_the_largest_picture(
    picture: Picture, params: Params, size: float
) -> None:
    varied = vary(picture, still(params), size)
    assert varied.shape[0] <= RASTER.max_height and varied.shape[1] <= RASTER.max_width
    ink = np.array(picture.shape) - 2 * RASTER.margin
    wanted = min(size, *((np.array([RASTER.max_height, RASTER.max_width]) - 9) / ink))
    measured = np.array(varied.shape) - 2 * RASTER.margin
    assert np.abs(measured / (ink * wanted) - 1).max() < 0.2
