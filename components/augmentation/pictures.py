"""Augment pictures that have no strokes to redraw."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.augmentation.strokes import AugmentConfig, degrade
from components.ink.raster import Picture, RasterSettings, limit_scale

_INK = 128  # grey; above it, of ink as 255, a pixel counts as written
_THIN = 0.35  # of what an erosion would take, at most: a thin pen must not vanish


def vary_picture(
    picture: Picture,
    size: float,
    variation: AugmentConfig,
    settings: RasterSettings,
    rng: np.random.Generator,
) -> Picture:
    """Turns, shears, stretches and scales a prepared picture, about `size` times as large, thickens or thins
    its pen, and soils it; cut to its ink and `settings.margin`, no larger than `settings` allow."""
    ink = _bent(_cut(255 - picture, 1), _linear(size, variation, rng), settings)
    ink = _with_pen(ink, settings.symbol * (rng.uniform(*variation.pen) - settings.pen))
    cut = _cut(ink, settings.margin)[: settings.max_height, : settings.max_width]
    return degrade(255 - cut, variation, rng)


def _linear(size: float, variation: AugmentConfig, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Sample a linear map of the picture's plane, as `strokes.distort` does for ink."""
    turn = np.deg2rad(rng.uniform(-variation.rotate, variation.rotate))
    shear = rng.uniform(-variation.shear, variation.shear)
    stretch = np.exp(rng.uniform(-0.5, 0.5) * np.log(variation.scale[1] / variation.scale[0]))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = rotation @ np.array([[stretch**0.5, shear], [0, stretch**-0.5]])
    return np.asarray(linear * size * rng.uniform(0.95, 1.05), np.float64)


def _bent(ink: Picture, linear: npt.NDArray[np.float64], settings: RasterSettings) -> Picture:
    height, width = ink.shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ linear.T
    extent = np.ptp(corners, axis=0)
    shrink = min(1.0, limit_scale(extent, settings))
    columns, rows = (max(1, int(side)) for side in np.ceil(extent * shrink))
    matrix = np.column_stack([linear * shrink, -corners.min(axis=0) * shrink])
    # OpenCV's area interpolation does not warp; what is to be much smaller is blurred before.
    factor = float(np.sqrt(abs(np.linalg.det(linear)))) * shrink
    source = cv2.GaussianBlur(ink, (0, 0), 0.4 / factor) if factor < 0.7 else ink
    warped = cv2.warpAffine(source, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderValue=0)
    return np.asarray(warped, np.uint8)


def _with_pen(ink: Picture, wider: float) -> Picture:
    """Widen the pen by `wider` pixels; narrow it if that is negative."""
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    other = cv2.dilate(ink, kernel) if wider > 0 else cv2.erode(ink, kernel)
    share = min(abs(wider) / 2, 1.0 if wider > 0 else _THIN)  # the kernel adds or takes two pixels
    mixed: npt.NDArray[Any] = ink * (1 - share) + other.astype(np.float32) * share
    return np.asarray(np.rint(mixed), np.uint8)


def _cut(ink: Picture, margin: int) -> Picture:
    """Crop to the ink with a margin; the whole picture if all of it is faint."""
    rows, columns = (np.flatnonzero((ink > _INK).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return ink
    padded = np.pad(ink, margin)  # after that, the ink's first row has `margin` rows of paper above it
    cut = padded[rows[0] : rows[-1] + 2 * margin + 1, columns[0] : columns[-1] + 2 * margin + 1]
    return np.ascontiguousarray(cut)
