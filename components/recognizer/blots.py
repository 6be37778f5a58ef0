"""Connected components that no pen made as a stroke of a symbol: specks, frames, punch holes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Stats = npt.NDArray[np.int32]  # (components, 5): left, top, width, height, area

_SPECK = 0.3  # of the pen's width squared: smaller than any dot
_SIDE = 0.55  # of each of its sides a frame covers at least so much
_BAND = 0.04  # of a frame's size: so near to a side its line runs
_SOLID = 0.62  # of its box a hole fills; a disc fills 0.79
_THICK = 2.4  # a hole is so many times as thick as the pen
_OUTER = 0.2  # of the writing's width or height: so near to its edge holes are


def erase_blots(white: Grey) -> Grey:
    """White paper with black ink, without what is no ink."""
    ink = (white < 128).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_32S)
    if count < 2:
        return white
    stats = np.asarray(stats)
    blots = np.zeros(count, np.bool_)
    for number in _frames(labels, stats):
        blots[number] = True
    reach = cv2.distanceTransform(np.pad(ink, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    pen = pen_width(reach[ink.view(np.bool_)])
    holes = _holes(labels, stats, reach, ~blots)
    if holes:
        blots[holes] = True
        rest = ~blots[labels] & (ink > 0)
        pen = pen_width(reach[rest]) if rest.any() else pen
    blots |= stats[:, cv2.CC_STAT_AREA] < _SPECK * pen**2
    blots[0] = False
    if not blots.any() or blots[1:].all():
        return white
    table = blots.astype(np.uint8)
    wiped = cv2.dilate(table[labels], np.ones((3, 3), np.uint8))
    return np.where(wiped > 0, np.uint8(255), white)


def pen_width(reach: npt.NDArray[Any]) -> float:
    """Mean width of strokes whose pixels are so far from the paper: within a line of n pixels that is
    (n + 7/3) / 4 in the mean."""
    return max(1.0, 4 * float(reach.mean()) - 7 / 3)


def _frames(labels: npt.NDArray[np.int32], stats: Stats) -> list[int]:
    """Boxes that are drawn around all the rest."""
    height, width = labels.shape
    found = []
    order = np.argsort(stats[1:, cv2.CC_STAT_WIDTH] * stats[1:, cv2.CC_STAT_HEIGHT])[::-1] + 1
    for number in order[:3]:
        left, top, wide, high, area = stats[number]
        if wide < 0.6 * width or high < 0.5 * height or area > 0.3 * wide * high:
            break
        mask = labels[top : top + high, left : left + wide] == number
        band = max(2, round(_BAND * max(wide, high)))
        sides = (mask[:band].any(0), mask[-band:].any(0), mask[:, :band].any(1), mask[:, -band:].any(1))
        at_edge = (top <= 1, top + high >= height - 1, left <= 1, left + wide >= width - 1)
        covered = [side.mean() > _SIDE for side in sides]
        # A frame that the picture cuts: three sides, and the fourth beyond the edge.
        whole = sum(covered) == 4 or (sum(covered) == 3 and at_edge[covered.index(False)])
        inner = mask[band:-band, band:-band]
        hollow = inner.size and inner.mean() < 0.02
        # Something is written within; else the frame is a symbol itself.
        others = np.delete(stats[1:], number - 1, axis=0)
        within = (
            (others[:, 0] > left)
            & (others[:, 1] > top)
            & (others[:, 0] + others[:, 2] < left + wide)
            & (others[:, 1] + others[:, 3] < top + high)
            & (others[:, cv2.CC_STAT_AREA] > 12)
        )
        if whole and hollow and within.any():
            found.append(int(number))
    return found


def _holes(
    labels: npt.NDArray[np.int32], stats: Stats, reach: npt.NDArray[np.float32], others: npt.NDArray[np.bool_]
) -> list[int]:
    """Dark discs along an edge: a sheet's punch holes."""
    height, width = labels.shape
    wide, high, area = (stats[:, n] for n in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA))
    round_ = (np.maximum(wide, high) < 1.6 * np.minimum(wide, high)) & (area > _SOLID * wide * high)
    large = np.minimum(wide, high) > 6
    x, y = stats[:, 0] + wide / 2, stats[:, 1] + high / 2
    outer = (np.minimum(x, width - x) < _OUTER * width) | (np.minimum(y, height - y) < _OUTER * height)
    candidates = np.flatnonzero(round_ & large & outer & others)
    candidates = candidates[candidates > 0]
    if not len(candidates) or len(candidates) > 40:
        return []
    rest = np.setdiff1d(np.flatnonzero(others), [0, *candidates])
    if not len(rest):
        return []
    table = np.zeros(len(stats), np.bool_)
    table[rest] = True
    pen = pen_width(reach[table[labels]])
    return [int(n) for n in candidates if min(wide[n], high[n]) > _THICK * pen]
