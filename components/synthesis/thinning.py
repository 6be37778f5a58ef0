"""Thin a picture of strokes to lines one pixel wide, and trace these into strokes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.ink.ink import Stroke

Mask = npt.NDArray[np.bool_]
Point = tuple[int, int]  # y, x

_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # clockwise from north
_SPUR = 3  # pixels: shorter branches are thorns of thinning
_STEP = 0.5  # pixels: how far smoothing moves a point


def thin(mask: Mask) -> Mask:
    """Thin a mask to its skeleton (Zhang and Suen, 1984)."""
    skeleton = np.pad(mask, 1).astype(np.uint8)
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            near = [np.roll(skeleton, (-dy, -dx), (0, 1)) for dy, dx in _AROUND]
            count = np.sum(near, axis=0)
            turns = sum(((near[i] == 0) & (near[(i + 1) % 8] == 1)).astype(np.uint8) for i in range(8))
            north, east, south, west = near[0], near[2], near[4], near[6]
            if first:
                edge = (north * east * south == 0) & (east * south * west == 0)
            else:
                edge = (north * east * west == 0) & (north * south * west == 0)
            gone = (skeleton == 1) & (count >= 2) & (count <= 6) & (turns == 1) & edge
            if gone.any():
                skeleton[gone] = 0
                changed = True
    return skeleton[1:-1, 1:-1].astype(bool)


def trace(mask: Mask) -> tuple[Stroke, ...]:
    """Trace strokes along a mask's skeleton: from free ends, then between crossings, then closed loops.

    A stroke goes straight on where it crosses another one; one that ends at another one touches it.
    """
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(thin(mask)), strict=True)}
    if not left and mask.any():  # thinning takes a small dot away altogether
        y, x = np.argwhere(mask).mean(axis=0)
        return (np.array([[x, y]], np.float32),)
    taken: set[Point] = set()
    strokes: list[Stroke] = []
    while left:
        path = [min(left, key=lambda point: (len(_neighbours(point, left)) > 1, point))]
        left.discard(path[0])
        while following := _neighbours(path[-1], left):
            path.append(_straightest(path, following))
            left.discard(path[-1])
        start, end = _neighbours(path[0], taken), _neighbours(path[-1], taken)
        # Thorns of thinning have a free end; pixels left over in the corner of a crossing lead nowhere.
        if strokes and len(path) <= (1 if start and end else _SPUR):
            continue
        taken.update(path)
        closed = len(path) > _SPUR and path[0] in _neighbours(path[-1], taken)
        joined = [*start[:1], *path, *(path[:1] if closed else end[:1])]
        strokes.append(np.array([(x, y) for y, x in joined], np.float32))
    return tuple(smoothed(stroke, _STEP) for stroke in strokes)


def _neighbours(point: Point, points: set[Point]) -> list[Point]:
    y, x = point
    return [(y + dy, x + dx) for dy, dx in _AROUND if (y + dy, x + dx) in points]


def _straightest(path: list[Point], following: list[Point]) -> Point:
    here, before = path[-1], path[max(0, len(path) - 4)]
    heading = (here[0] - before[0], here[1] - before[1])
    return max(
        following,
        key=lambda p: ((p[0] - here[0]) * heading[0] + (p[1] - here[1]) * heading[1], -abs(p[0] - here[0])),
    )


def smoothed(stroke: Stroke, most: float) -> Stroke:
    """Smooth the steps of a pixel grid or a mouse.

    Its ends stay, and no point moves by more than `most` along an axis, so that corners stay sharp.
    """
    result = stroke
    for _ in range(2):
        inner = (result[:-2] + 2 * result[1:-1] + result[2:]) / 4
        result = np.concatenate([stroke[:1], inner, stroke[-1:]]) if len(stroke) > 2 else stroke
    moved: Stroke = stroke + np.clip(result - stroke, np.float32(-most), np.float32(most))
    return moved
