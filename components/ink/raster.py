"""Ink to picture. The one place where strokes are drawn: training, evaluation and service all come here.

A picture is dark on light, and its symbols have one size: the median height of its connected components is
`RasterSettings.symbol` pixels, however large the writer wrote and however long the formula is. Strokes and
photographs are measured alike (on pixels, as a camera sees them), so that both give the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from components.ink.ink import Stroke

Picture = npt.NDArray[np.uint8]  # (height, width): 255 is paper, 0 is ink
Corner = npt.NDArray[np.float64]  # (2,): x, y
Box = tuple[float, float, float, float]  # left, top, right, bottom, edges and not middles of pixels
Sides = npt.NDArray[np.number[Any]]  # (components or strokes,)

_FINE = 4  # a picture is drawn so many times larger, then halved twice: smooth edges, and pens of any width
_SHIFT = 4  # OpenCV draws at positions given in 1/16 of those pixels
_PROBE = 24  # height in pixels of the median stroke in the drawing that symbols are measured on
_PROBE_SIDE = 2048  # that drawing's longest side
_HAIR = 1.0  # the thinnest pen that shows, pixels
_FLAT = 0.25  # flatter than this (height to width) are minus signs and fraction bars
_SPECK = 0.1  # lower than this fraction of the highest are dots and specks
_APART = 5  # dots have more paper between them than so many times their size


class RasterSettings(BaseModel):
    """How ink becomes a picture. Part of the exported bundle: who reads must draw as training did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: int = Field(20, ge=8, le=96, description="median height of a symbol, pixels")
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


@dataclass(frozen=True)
class Placement:
    """Where a picture comes from: what is at (x, y) on it was at (x / scale + left, y / scale + top)."""

    scale: float
    left: float
    top: float

    def moved(self, origin: tuple[float, float]) -> Placement:
        """With an origin added, which was subtracted from the ink before it was drawn."""
        return replace(self, left=self.left + origin[0], top=self.top + origin[1])

    def back(self, box: Box) -> Box:
        """A box of the picture, where it comes from, to a hundredth of a pixel."""
        digits = 2 + math.ceil(math.log10(self.scale))
        x0, y0, x1, y1 = (
            round(side / self.scale + start, digits)
            for side, start in zip(box, 2 * (self.left, self.top), strict=True)
        )
        return x0, y0, x1, y1


def draw(strokes: Sequence[Stroke], settings: RasterSettings) -> Picture:
    """Draws the strokes at the size that `settings` asks for; returns uint8 (height, width).

    Raises ValueError where there is no stroke, or a coordinate that is not finite.
    """
    return draw_placed(strokes, settings)[0]


def draw_placed(strokes: Sequence[Stroke], settings: RasterSettings) -> tuple[Picture, Placement]:
    """As `draw`, with where on the strokes' own plane the picture lies."""
    low, high = bounds(strokes)
    wanted = settings.symbol / symbol_height(strokes)
    scale = min(wanted, limit_scale(high - low, settings))
    # What has to shrink shrinks with its pen, as in a photograph; else small symbols become blots.
    pen = settings.symbol * settings.pen * scale / wanted
    where = frame_at(low, high, scale, settings.margin)
    # Half a pixel: an edge lies before its pixel's middle, where the frame's coordinates are whole.
    left, top = (float(side) - (settings.margin + 0.5) / scale for side in low)
    return draw_in(strokes, where, settings.margin, pen), Placement(scale, left, top)


def draw_in(strokes: Sequence[Stroke], where: Frame, margin: int, pen: float) -> Picture:
    """Draws strokes with a pen of `pen` pixels (in steps of half a pixel) into a given frame."""
    fine = np.full((where.height * _FINE, where.width * _FINE), 255, np.uint8)
    # OpenCV's lines are 1, 3, 5 … pixels wide: thickness 2 gives 3, and so does 3.
    thickness = 2 * max(0, round((max(pen, _HAIR) * _FINE - 1) / 2))
    cv2.polylines(
        fine, _paths(strokes, where, margin, _FINE), False, 0, max(thickness, 1), cv2.LINE_8, _SHIFT
    )
    return _halved(_halved(fine))


def _halved(picture: Picture) -> Picture:
    """Half as large; twice this is six times as fast as once to a quarter."""
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def symbol_height(strokes: Sequence[Stroke]) -> float:
    """What `median_extent` finds on a drawing of the strokes, in their units.

    Dots that stand alone (a colon, an ellipsis) are one symbol; for a single dot the answer is 1.
    """
    low, high = bounds(strokes)
    whole = float((high - low).max())
    points, starts = np.concatenate(strokes), _starts(strokes)
    spans = np.maximum.reduceat(points, starts) - np.minimum.reduceat(points, starts).astype(np.float64)
    if spans.max() * _APART * len(strokes) <= whole:
        return whole or 1.0
    probe = min(_PROBE / _typical(*spans.T), _PROBE_SIDE / whole)
    where = frame_at(low, high, probe, margin=1)
    drawing = np.full((where.height, where.width), 255, np.uint8)
    cv2.polylines(drawing, _paths(strokes, where, 1, 1), False, 0, 1, cv2.LINE_8, _SHIFT)
    # Pixels count the pen as well, which is one pixel wide.
    return float(max(median_extent(drawing) - 1, 1) / probe)


def median_extent(picture: Picture) -> float:
    """Median height in pixels of the upright connected components of ink; 0 where there is no ink.

    Heights, since writing that touches grows sideways; upright ones, since bars are as high as the pen.
    Where all are flat but for dots (=, ÷) it is their median width.
    """
    ink = (picture < 128).view(np.uint8)
    # Every other pixel may be a component. Where 16 bits can number them, that is twice as fast.
    numbers = cv2.CV_16U if picture.size < 2 * 65_535 else cv2.CV_32S
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=numbers)
    return _typical(stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT])


def _typical(widths: Sides, heights: Sides) -> float:
    if not len(widths):
        return 0.0
    upright = (heights >= _FLAT * widths) & (heights > 0)
    sizes, bars = heights[upright], len(heights) - upright.sum()
    # Bars tell the size where there is nothing else, and in what has but dots beside them (÷).
    if len(sizes) <= 2 * bars and sizes.max(initial=0) < _SPECK * widths.max():
        sizes = widths
    # NumPy's median takes ten times as long for so few.
    return float(median(sizes[sizes >= _SPECK * sizes.max()].tolist()))


def bounds(strokes: Sequence[Stroke]) -> tuple[Corner, Corner]:
    """The lowest and the highest (x, y) of all points. Raises ValueError as `draw` does."""
    if not strokes:
        raise ValueError("there is no stroke to draw")
    points = np.concatenate(strokes).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    if not np.isfinite(low + high).all():
        raise ValueError("a coordinate is not a finite number")
    return low, high


def limit_scale(size: Corner, settings: RasterSettings) -> float:
    """The largest scale at which something of `size` (width, height) fits the largest picture."""
    room = np.array([settings.max_width, settings.max_height]) - 2 * settings.margin - 1
    return float(min(room / np.maximum(size, np.finfo(np.float32).tiny)))


def frame_at(low: Corner, high: Corner, scale: float, margin: int) -> Frame:
    """The frame that has the ink from `low` to `high` at this scale, and `margin` pixels around it."""
    # Rounding may not ask for one pixel more than `limit_scale` left room for.
    width, height = (int(side) + 2 * margin + 1 for side in np.ceil((high - low) * scale - 1e-6))
    return Frame(scale, (float(low[0]), float(low[1])), width, height)


def _paths(strokes: Sequence[Stroke], where: Frame, margin: int, fine: int) -> list[npt.NDArray[np.int32]]:
    """The strokes on a picture `fine` times as large as the frame, as OpenCV takes them."""
    pixels = (np.concatenate(strokes) - np.asarray(where.origin)) * where.scale + margin
    # A pixel's centre has whole coordinates, on the large picture as well as on the small one.
    places = np.rint(((pixels + 0.5) * fine - 0.5) * (1 << _SHIFT)).astype(np.int32)
    ends = [*_starts(strokes).tolist(), len(places)]
    # A path of one point leaves no mark.
    return [places[[a, a]] if b == a + 1 else places[a:b] for a, b in pairwise(ends)]


def _starts(strokes: Sequence[Stroke]) -> npt.NDArray[np.intp]:
    """Where each stroke begins among all points."""
    return np.cumsum([0, *map(len, strokes[:-1])])
