"""How many lines of writing a picture has. A picture should have one formula; where it has several, those who
sent it are told.

A formula alone also has parts above one another: fractions, limits, matrices, cases. So a line here is what
is as long and as large as the others, and parted from them by paper all the way across, with no bar between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from components.ink.raster import Picture, median_extent

# In heights of the median symbol, or as a ratio.
_SPECK = 0.15  # what is smaller in both directions is dust, or a dot that says nothing of lines
_FLAT, _BAR = 0.35, 1.6  # a bar (of a fraction, over or under something) is at most so high, at least so wide
_NEAR = 1.2  # a bar so near to the paper between two parts may belong to both
_LEAST_PARTS, _LEAST_WIDTH = 3, 2.5  # of a line: what has less may be a limit, an accent or a script
_LIKE_WIDTH, _LIKE_SIZE = 0.3, 0.65  # of the smaller one of two lines to the larger, their widths and symbols
_SHORT, _SHORT_SIZE = 0.65, 0.85  # what is shorter than this share of the longest is so large, or a limit
_FULL = 0.35  # of a line's width have ink: scripts over a line are far apart
_OPERATOR = 1.5  # so many times as high as a limit's symbols is what it belongs to
_GAP = 0.25  # the paper between lines is at least so high
_SLOPING_GAP = 0.45
_SLOPES = (-0.04, 0.04)  # of lines that do not run level, pixels down for a pixel to the right

Boxes = npt.NDArray[np.float64]  # left, top, right, bottom of each connected part of the ink: (n, 4)


@dataclass(frozen=True)
class _Band:
    """Parts of the ink that overlap in height, with no paper between them all the way across."""

    boxes: Boxes

    @property
    def top(self) -> float:
        return float(self.boxes[:, 1].min())

    @property
    def bottom(self) -> float:
        return float(self.boxes[:, 3].max())

    @property
    def width(self) -> float:
        return float(self.boxes[:, 2].max() - self.boxes[:, 0].min())

    @property
    def size(self) -> float:
        """The median height of what is no bar; 0 where all is."""
        upright = self.boxes[~_flat(self.boxes)]
        return float(np.median(upright[:, 3] - upright[:, 1])) if len(upright) else 0.0

    @property
    def full(self) -> float:
        """The share of the width that has ink in it."""
        order = self.boxes[np.argsort(self.boxes[:, 0])]
        reach = np.maximum.accumulate(order[:, 2])
        free = np.maximum(order[1:, 0] - reach[:-1], 0).sum()
        return float(1 - free / max(self.width, 1e-9))


def count_lines(picture: Picture) -> int:
    """How many lines of writing there are on a picture that was prepared for reading: at least 1."""
    symbol = median_extent(picture)
    if not symbol:
        return 1
    ink = (picture < 128).view(np.uint8)
    _, _, stats, centres = cv2.connectedComponentsWithStats(ink, connectivity=8)
    left, top, width, height = (stats[1:, side] / symbol for side in range(4))
    large = np.maximum(width, height) >= _SPECK
    boxes = np.stack([left, top, left + width, top + height], axis=1)[large]
    if len(boxes) < 2 * _LEAST_PARTS:
        return 1
    middle = centres[1:, 0][large] / symbol
    level = _count(boxes, _GAP)
    return max(level, *(_count(_sheared(boxes, middle, slope), _SLOPING_GAP) for slope in _SLOPES))


def _sheared(boxes: Boxes, middle: npt.NDArray[np.float64], slope: float) -> Boxes:
    """The boxes moved up by how far a sloping line has gone down where they are."""
    shift = slope * middle
    return boxes - np.stack([np.zeros_like(shift), shift] * 2, axis=1)


def _count(boxes: Boxes, gap: float) -> int:
    bands = _bands(boxes)
    while (at := _joined(bands, gap)) is not None:
        bands[at : at + 2] = [_Band(np.concatenate([bands[at].boxes, bands[at + 1].boxes]))]
    return max(1, len(bands))


def _joined(bands: Sequence[_Band], gap: float) -> int | None:
    """The first band that is in one line with the next one; None: each is a line of its own."""
    for at, (upper, lower) in enumerate(pairwise(bands)):
        if not _parted(upper, lower, gap):
            return at
    widest, largest = _largest(bands)
    for at, band in enumerate(bands):
        neighbours = [bands[other] for other in (at - 1, at + 1) if 0 <= other < len(bands)]
        if neighbours and (
            not _is_line(band, widest, largest) or any(_is_limit(band, other) for other in neighbours)
        ):
            above = band.top - bands[at - 1].bottom if at else np.inf
            below = bands[at + 1].top - band.bottom if at + 1 < len(bands) else np.inf
            return at - 1 if above < below else at
    return None


def _largest(bands: Sequence[_Band]) -> tuple[float, float]:
    """The width of the widest band and the size of the largest symbols."""
    return max((band.width for band in bands), default=0.0), max((band.size for band in bands), default=0.0)


def _bands(boxes: Boxes) -> list[_Band]:
    """From the top down."""
    if not len(boxes):
        return []
    boxes = boxes[np.argsort(boxes[:, 1])]
    reach = np.maximum.accumulate(boxes[:, 3])
    starts = np.flatnonzero(boxes[1:, 1] - reach[:-1] > 0) + 1
    return [_Band(part) for part in np.split(boxes, starts)]


def _parted(upper: _Band, lower: _Band, gap: float) -> bool:
    """Whether nothing but paper is between two bands, and no bar that would hold them together."""
    if lower.top - upper.bottom < gap:
        return False
    flipped = upper.boxes[:, [0, 3, 2, 1]] * (1, -1, 1, -1)
    return not (_begins_with_bar(lower.boxes, upper) or _begins_with_bar(flipped, lower))


def _begins_with_bar(boxes: Boxes, other: _Band) -> bool:
    """Whether something stands behind a bar, as seen from another band, and nothing before it."""
    top = boxes[:, 1].min()
    for bar in boxes[_flat(boxes) & (boxes[:, 1] - top < _NEAR)]:
        under = _overlap(boxes, bar) > 0
        before = boxes[under & (boxes[:, 1] < bar[1])]
        twin = _flat(boxes, 0.8) & (_overlap(boxes, bar) > 0.5 * (bar[2] - bar[0]))
        twin &= np.abs(boxes[:, 1] - bar[1]) < 0.9
        if not len(before) and twin.sum() < 2 and (_overlap(other.boxes, bar) > 0).any():
            return True
    return False


def _overlap(boxes: Boxes, bar: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much of their widths boxes have in common with a bar."""
    return np.asarray(np.minimum(boxes[:, 2], bar[2]) - np.maximum(boxes[:, 0], bar[0]))


def _flat(boxes: Boxes, least: float = _BAR) -> npt.NDArray[np.bool_]:
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.asarray((height <= np.maximum(_FLAT, 0.2 * width)) & (width >= least))


def _is_line(line: _Band, widest: float, largest: float) -> bool:
    return (
        len(line.boxes) >= _LEAST_PARTS
        and line.width >= max(_LEAST_WIDTH, _LIKE_WIDTH * widest)
        and line.size >= (_SHORT_SIZE if line.width < _SHORT * widest else _LIKE_SIZE) * largest
        and line.full >= _FULL
    )


def _is_limit(line: _Band, other: _Band) -> bool:
    """Whether the middle of a line is under or over a large operator of another."""
    middle = (line.boxes[:, 0].min() + line.boxes[:, 2].max()) / 2
    width = other.boxes[:, 2] - other.boxes[:, 0]
    high = other.boxes[:, 3] - other.boxes[:, 1] >= _OPERATOR * line.size
    high &= (width < 5) & (width > 0.25 * line.width)
    across = (other.boxes[:, 0] - 0.5 <= middle) & (middle <= other.boxes[:, 2] + 0.5)
    return bool((high & across).any())
