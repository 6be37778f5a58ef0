"""Ink to picture. The one place where strokes are drawn: training, evaluation and service all come here.

A picture is dark on light, and its symbols have one size: the median height of its connected components
is `RasterSettings.symbol` pixels, however large the writer wrote and however long the formula is. Strokes
and photographs are measured alike (on pixels, as a camera sees them), so that both give the same picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from components.ink.ink import Stroke

Picture = npt.NDArray[np.uint8]  # (height, width): 255 is paper, 0 is ink

_SHIFT = 4  # OpenCV draws at sub-pixel positions given in 1/16 pixel
_PROBE = 320  # longest side in pixels of the drawing that symbols are measured on
_FLAT = 1e-6
_FLAT_SHAPE = 0.25  # height to width of a minus or a bar


class RasterSettings(BaseModel):
    """How ink becomes a picture. Part of the exported bundle: who reads must draw as training did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: int = Field(20, ge=8, le=96, description="median extent of a symbol, pixels")
    pen: float = Field(0.1, gt=0, le=0.5, description="pen width as a fraction of `symbol`")
    margin: int = Field(4, ge=1, le=32, description="paper around the ink, pixels")
    max_height: int = Field(128, ge=32, description="a taller picture is shrunk to this, pixels")
    max_width: int = Field(512, ge=32, description="a wider picture is shrunk to this, pixels")


@dataclass(frozen=True)
class Frame:
    """Where an ink lies on its picture: pixel = (unit - origin) * scale + margin."""

    scale: float
    origin: tuple[float, float]
    width: int  # pixels, the margins included
    height: int


def draw(strokes: Sequence[Stroke], settings: RasterSettings) -> Picture:
    """Draws the strokes at the size that `settings` asks for; returns uint8 (height, width).

    Raises ValueError where there is no stroke, or a coordinate that is not finite.
    """
    return draw_in(strokes, frame(strokes, settings), settings.margin, settings.symbol * settings.pen)


def frame(strokes: Sequence[Stroke], settings: RasterSettings) -> Frame:
    """Finds scale and size of the strokes' picture: symbols of one size, within the largest picture."""
    low, high = bounds(strokes)
    extent = float(max(high - low))
    if extent < _FLAT:  # a single dot
        side = 2 * settings.margin + 1
        return Frame(1.0, (float(low[0]), float(low[1])), side, side)
    probe = _PROBE / extent
    drawn = draw_in(strokes, frame_at(low, high, probe, 2), 2, 1.0)
    # The extent between stroke centres, as the strokes have it; pixels count the pen as well.
    measured = max(median_extent(drawn) - 1.0, 1.0) / probe
    scale = min(settings.symbol / measured, limit_scale(high - low, settings))
    return frame_at(low, high, scale, settings.margin)


def draw_in(strokes: Sequence[Stroke], where: Frame, margin: int, pen: float) -> Picture:
    """Draws strokes with a pen of `pen` pixels into a given frame."""
    # OpenCV draws whole pixels of width only.
    thickness = max(1, round(pen))
    picture = np.full((where.height, where.width), 255, np.uint8)
    factor = 1 << _SHIFT
    paths = []
    for stroke in strokes:
        points = (stroke - np.asarray(where.origin, np.float32)) * np.float32(where.scale) + margin
        if len(points) == 1:
            points = np.concatenate([points, points])
        paths.append(np.rint(points * factor).astype(np.int32))
    cv2.polylines(picture, paths, False, 0, thickness, cv2.LINE_AA, _SHIFT)
    return picture


def bounds(strokes: Sequence[Stroke]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The lowest and the highest (x, y) of all points."""
    if not strokes:
        raise ValueError("there is no stroke to draw")
    points = np.concatenate(strokes).astype(np.float64)
    if not np.isfinite(points).all():
        raise ValueError("a coordinate is not a finite number")
    return points.min(axis=0), points.max(axis=0)


def limit_scale(size: npt.NDArray[np.float64], settings: RasterSettings) -> float:
    """The largest scale at which something of `size` (width, height) fits the largest picture."""
    room = np.array([settings.max_width, settings.max_height]) - 2 * settings.margin - 1
    return float(min(room / np.maximum(size, _FLAT)))


def median_extent(picture: Picture) -> float:
    """Median size of the connected components of ink, specks left out; pixels.

    A component's size is its height, so that joined-up letters count as one letter; that of a flat one, a
    minus or a bar, is its width.
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats((picture < 128).astype(np.uint8), connectivity=8)
    widths, heights = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]
    sizes = np.where(heights < _FLAT_SHAPE * widths, widths, heights)
    if not len(sizes):
        return 0.0
    # Dots, points and specks say nothing of the writer's size.
    return float(np.median(sizes[sizes >= 0.1 * sizes.max()]))


def frame_at(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], scale: float, margin: int
) -> Frame:
    """The frame of an ink from `low` to `high` at a given scale."""
    width, height = (int(side) + 2 * margin + 1 for side in np.ceil((high - low) * scale))
    return Frame(scale, (float(low[0]), float(low[1])), width, height)
