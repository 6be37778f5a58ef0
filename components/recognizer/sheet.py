"""Which part of a picture is the sheet that is written on: not the desk around it, nor a scan's borders.

Works on a thumbnail of some hundred pixels. In doubt everything is the sheet: what is left over of a desk is
a nuisance, what is cut off of a formula is lost.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Thumbnail = npt.NDArray[np.uint8]  # (height, width), or (height, width, 3)
Polygon = npt.NDArray[np.int32]  # (n, 2): x, y, of a convex hull

_EDGE = 10  # steps between neighbouring pixels above this part two regions
_LEAST = 0.04  # a sheet covers at least this fraction of the picture
_WHOLE = 0.985  # more than this fraction is the whole picture
_OTHER = 18  # a ground differs from its sheet by at least so many levels
_SHADOW = 0.5  # where a ground is but darker than the sheet, and no darker than this, it may be a shadow
_COLOURED = 0.12  # a ground whose colours differ by so much from the sheet's is no shadow


def find_sheet(grey: Thumbnail, colour: Thumbnail | None = None) -> Polygon | None:
    """The outline of the sheet, or None where that is the whole picture."""
    height, width = grey.shape
    if min(height, width) < 24:
        return None
    smooth = cv2.medianBlur(grey, 5)
    steps = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    flat = (steps < _EDGE).view(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4, ltype=cv2.CV_32S)
    areas = stats[1:, cv2.CC_STAT_AREA]
    for number in 1 + np.argsort(areas)[::-1][:3]:
        if stats[number, cv2.CC_STAT_AREA] < _LEAST * grey.size:
            break
        hull = _hull(labels == number)
        covered = cv2.contourArea(hull) / grey.size
        if covered > _WHOLE:
            continue  # the sheet itself, or a desk all around, whose hull is the whole picture, too
        inside = cv2.fillConvexPoly(np.zeros_like(grey), hull, 1)
        if _is_sheet(smooth, steps, colour, inside, hull):
            return hull
    return None


def _hull(mask: npt.NDArray[np.bool_]) -> Polygon:
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(cv2.convexHull(np.concatenate(contours)), np.int32).reshape(-1, 2)


def _is_sheet(
    grey: Thumbnail, steps: Thumbnail, colour: Thumbnail | None, inside: Thumbnail, hull: Polygon
) -> bool:
    """Whether what is around the hull is another ground, and what is within is written on."""
    within = inside > 0
    paper = float(np.median(grey[within]))
    # Of what is just outside: the hull ends a pixel or two before the edge.
    outside = cv2.dilate(inside, np.ones((7, 7), np.uint8)) == 0
    sides = [grey[:2], grey[-2:], grey[:, :2].T, grey[:, -2:].T]
    shown = [inside[:2], inside[-2:], inside[:, :2].T, inside[:, -2:].T]
    covered = [
        float((np.abs(side.astype(np.int16) - paper)[here == 0] > _OTHER).sum() / side.size)
        for side, here in zip(sides, shown, strict=True)
    ]
    around = sum(share > 0.9 for share in covered)
    if around == 0:
        return False
    # A sheet is about a rectangle, turned or seen aslant; writing that parts the paper leaves other shapes.
    box = cv2.minAreaRect(hull)[1]
    if cv2.contourArea(hull) < 0.75 * box[0] * box[1]:
        return False
    inner = cv2.erode(inside, np.ones((7, 7), np.uint8)) > 0
    if (steps[inner] > _EDGE).sum() < 6:
        return False  # nothing is written within: the ring is a symbol itself, a box or a zero
    if around == 4:
        return True
    # A band along some sides: thicker than a stroke, smooth, and no shadow on the same sheet.
    if outside.sum() < 0.02 * grey.size or (steps[outside] > _EDGE).mean() > 0.25:
        return False
    if cv2.contourArea(hull) < 0.9 * box[0] * box[1]:
        return False
    ground = float(np.median(grey[outside]))
    shadow = _SHADOW < ground / max(paper, 1) < 1 and not _differs(colour, within, outside)
    return not shadow and abs(ground - paper) > _OTHER


def _differs(colour: Thumbnail | None, within: npt.NDArray[np.bool_], outside: npt.NDArray[np.bool_]) -> bool:
    """Whether two regions have other colours, whatever their light."""
    if colour is None:
        return False
    tones = [np.median(colour[mask], axis=0) + 1 for mask in (within, outside)]
    shares = [tone / tone.sum() for tone in tones]
    return float(np.abs(shares[0] - shares[1]).sum()) > _COLOURED
