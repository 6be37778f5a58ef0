"""Connected components that no pen made as a stroke of a symbol: specks, frames, punch holes."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Edges = tuple[bool, bool, bool, bool]  # left, top, right, bottom: whether the picture ends there
Stats = npt.NDArray[np.int32]  # (components, 5): left, top, width, height, area

_INK = 160  # darker than this is ink
_SPECK = 0.3  # of the pen's width squared: smaller than any dot
_SIDE = 0.55  # of each of its sides a frame covers at least so much
_BAND = 0.04  # of a frame's size: so near to a side its line runs
_SOLID = 0.62  # of its box a hole fills; a disc fills 0.79
_THICK = 2.4  # a hole is so many times as thick as the pen
_ALONG = 0.6  # of an edge that a sliver covers, at least
_DEEP = 0.1  # of the picture that a sliver is deep, at most
_MANY = 24  # dots that make dotted paper
_OUTER = 0.2  # of the writing's width or height: so near to its edge holes are


def erase_blots(white: Grey, edges: Edges) -> Grey:
    """White paper with black ink, without what is no ink; `edges` tells where this is up to the picture's."""
    ink = (white < _INK).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_32S)
    if count < 2:
        return white
    stats = np.asarray(stats)
    blots = np.zeros(count, np.bool_)
    blots[_frames(labels, stats) + _slivers(labels, stats, edges)] = True
    reach = cv2.distanceTransform(np.pad(ink, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    pen = pen_width(reach, ink)
    holes = _holes(labels, stats, reach, ~blots)
    if holes:
        blots[holes] = True
        rest = np.take((~blots).view(np.uint8), labels) & ink
        pen = pen_width(reach, rest) if rest.any() else pen
    blots[_dots(white, labels, stats, pen)] = True
    blots |= stats[:, cv2.CC_STAT_AREA] < _SPECK * pen**2
    if blots[1:].all() or not blots[1:].any():
        return white
    blots[0] = True
    kept = np.take((~blots).view(np.uint8), labels)
    # A stroke's soft edges are lighter than ink.
    return np.where(cv2.dilate(kept, np.ones((3, 3), np.uint8)) > 0, white, np.uint8(255))


def pen_width(reach: npt.NDArray[np.float32], strokes: Grey) -> float:
    """Mean width of strokes (1 in `strokes`) whose pixels are so far from the paper: within a line of n
    pixels that is (n + 7/3) / 4 in the mean."""
    return max(1.0, 4 * cv2.mean(reach, strokes)[0] - 7 / 3)


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
    pen = pen_width(reach, np.take(table.view(np.uint8), labels))
    return [
        int(n)
        for n in candidates
        if min(wide[n], high[n]) > _THICK * pen and _disc(labels, stats, reach, int(n))
    ]


def _disc(labels: npt.NDArray[np.int32], stats: Stats, reach: npt.NDArray[np.float32], number: int) -> bool:
    """Whether a component is as thick as it is wide."""
    left, top, wide, high, _ = stats[number]
    box = slice(top, top + high), slice(left, left + wide)
    return float(reach[box][labels[box] == number].max()) > 0.4 * float(min(wide, high))


def _slivers(labels: npt.NDArray[np.int32], stats: Stats, edges: Edges) -> list[int]:
    """What lies along an edge of the picture: a desk that looks in, a scanner's shadow."""
    height, width = labels.shape
    found: set[int] = set()
    for at_edge, line, depth, share in zip(
        edges,
        (labels[:, 0], labels[0], labels[:, -1], labels[-1]),
        (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT) * 2,
        (width, height) * 2,
        strict=True,
    ):
        if at_edge:
            counts = np.bincount(line, minlength=len(stats))
            counts[0] = 0
            number = int(counts.argmax())
            if counts[number] > _ALONG * len(line) and stats[number, depth] < _DEEP * share:
                found.add(number)
    return sorted(found)


def _dots(white: Grey, labels: npt.NDArray[np.int32], stats: Stats, pen: float) -> list[int]:
    """Dotted paper: many dots of one size, more than there are strokes, and lighter than ink."""
    wide, high, area = (stats[:, n] for n in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA))
    small = np.flatnonzero(np.maximum(wide, high) <= 4 * pen)
    small = small[small > 0]
    if len(small) < _MANY or len(small) < 0.6 * (len(stats) - 1):
        return []
    tones = np.full(len(stats), 255, np.uint8)
    np.minimum.at(tones, labels.ravel(), white.ravel())
    like_most = (area < 2 * np.median(area[small])) & (tones > np.median(tones[small]) - 40)
    return [int(n) for n in small if like_most[n]]
