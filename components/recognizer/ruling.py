"""Lines that run across a whole sheet: ruled and squared paper, margins, edges. Found, and taken away.

Across a strip of a sheet a printed line is a dip in the mean brightness of its row, however faint it is. Where
all strips have such a dip, at one height or along one slope, there is a line. What a hand draws ends before the
edges of the sheet: a fraction bar, a minus, the bar of a root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_STRIPS = 32
_STEEP = 0.09  # a line rises at most so much
_SLOPES = 19  # slopes that are tried
_FAINT = 5.0  # levels that a line is at least darker than the paper
_REACH = 3  # rows that a line may leave the straight by, in each strip
_SHARE = 0.8  # of the strips that show a line
_FAMILY = 3  # so many lines at equal distances are ruled paper, whatever else they do


@dataclass(frozen=True)
class Line:
    """A line across a picture: the middle of its height at places along it, in pixels."""

    along: Floats
    heights: Floats
    thickness: float

    def at(self, places: npt.NDArray[Any]) -> Floats:
        return np.interp(places, self.along, self.heights).astype(np.float32)


def find_lines(grey: Grey) -> list[Line]:
    """The lines that cross a picture of dark ink on light paper from the left to the right."""
    height, width = grey.shape
    if height < 12 or width < 64:
        return []
    strips = min(_STRIPS, width // 16)
    profile = cv2.resize(grey, (strips, height), interpolation=cv2.INTER_AREA)
    thickest = max(7, height // 50 | 1)
    column = np.ones((thickest, 1), np.uint8)
    # Beyond the picture there is paper: a line along its edge is a dip as well.
    padded = cv2.copyMakeBorder(profile, thickest, thickest, 0, 0, cv2.BORDER_CONSTANT, value=255)
    dips = cv2.subtract(cv2.erode(cv2.dilate(padded, column), column), padded)[thickest:-thickest]
    if (dips.max(axis=0) > _FAINT).mean() < _SHARE:
        return []
    slope = _slope(dips, width / strips)
    found = [_traced(dips, row, slope, width / strips) for row in _rows(dips, slope, width / strips)]
    lines = [line for line in found if line is not None]
    return _ruled(lines, grey)


def _slope(dips: Grey, strip: float) -> float:
    """The slope along which dips line up best, in rows a column."""
    steps = np.linspace(-_STEEP, _STEEP, _SLOPES)
    coarse = cv2.dilate(dips, np.ones((3, 1), np.uint8)).astype(np.float32)
    sharp = [float((_sheared(coarse, step * strip).mean(axis=1) ** 2).sum()) for step in steps]
    # No slope is the likeliest.
    sharp[_SLOPES // 2] *= 1.02
    return float(steps[int(np.argmax(sharp))])


def _sheared(dips: npt.NDArray[Any], step: float) -> npt.NDArray[Any]:
    """Each column shifted upwards by `step` rows more than the one before, the middle one not at all."""
    height, strips = dips.shape
    shift = (np.arange(strips) - (strips - 1) / 2) * step
    if not np.abs(shift).max() >= 0.5:
        return dips
    rows = np.rint(np.arange(height)[:, None] + shift).astype(np.intp)
    taken = np.take_along_axis(dips, rows.clip(0, height - 1), axis=0)
    taken[(rows < 0) | (rows >= height)] = 0
    return taken


def _rows(dips: Grey, slope: float, strip: float) -> list[int]:
    """Where, in the middle of the picture, lines may be."""
    wide = cv2.dilate(_sheared(dips, slope * strip), np.ones((2 * _REACH + 1, 1), np.uint8))
    strips = wide.shape[1]
    # The share of strips that has to show the line says which of the sorted values is looked at.
    least = int((1 - _SHARE) * strips)
    score = np.partition(wide, least, axis=1)[:, least].astype(np.float32)
    score += 0.05 * _sheared(dips, slope * strip).mean(axis=1)
    rows = []
    score = np.where(score > _FAINT, score, 0)
    while len(rows) < 80:
        row = int(np.argmax(score))
        if score[row] <= 0:
            break
        rows.append(row)
        score[max(row - 2 * _REACH, 0) : row + 2 * _REACH + 1] = 0
    return rows


def _traced(dips: Grey, row: int, slope: float, strip: float) -> Line | None:
    """Follows a line from the middle to both ends."""
    height, strips = dips.shape
    middle = (strips - 1) / 2
    numbers = np.arange(strips)
    expected = row + (numbers - middle) * slope * strip
    offsets = np.arange(-_REACH - 1, _REACH + 2)
    rows = np.rint(expected[:, None] + offsets).astype(np.intp)
    inside = (rows >= 0) & (rows < height)
    window = np.where(inside, dips[rows.clip(0, height - 1), numbers[:, None]], 0).astype(np.float32)
    depth = window.max(axis=1)
    typical = float(np.median(depth))
    good = depth > max(0.3 * typical, _FAINT - 1)
    here = inside.any(axis=1)
    if typical < _FAINT or good.sum() < _SHARE * here.sum() or here.sum() < 0.5 * strips:
        return None
    # The middle of the dip, weighed by depth.
    strong = np.where(window > 0.5 * depth[:, None], window, 0)
    heights = (strong * rows).sum(axis=1) / np.maximum(strong.sum(axis=1), 1e-6)
    places = (numbers + 0.5) * strip
    weights = np.where(good & (depth < 2.5 * typical), 1.0, 0.0)
    if weights.sum() < 4:
        return None
    curve = np.polynomial.Polynomial.fit(places, heights, 2, w=weights)
    off = np.abs(heights - curve(places))[weights > 0]
    straight = off < 1.5
    if straight.mean() < 0.7:
        return None
    weights[np.abs(heights - curve(places)) >= 1.5] = 0
    curve = np.polynomial.Polynomial.fit(places, heights, 2, w=weights)
    thickness = float(np.median((window.sum(axis=1) / np.maximum(depth, 1))[weights > 0]))
    ends = np.concatenate([[0.0], places, [strips * strip]])
    return Line(ends.astype(np.float32), curve(ends).astype(np.float32), thickness)


def _ruled(lines: list[Line], grey: Grey) -> list[Line]:
    """Those that are no hand's: evenly spaced, or across the whole sheet."""
    if not lines:
        return []
    width = grey.shape[1]
    across = [line for line in lines if _reaches(line, grey)]
    middles = np.array([float(line.at(np.array([width / 2]))[0]) for line in lines])
    if len(lines) >= _FAMILY and len(across) >= 0.5 * len(lines):
        order = np.argsort(middles)
        gaps = np.diff(middles[order])
        if np.ptp(gaps) < 0.25 * np.median(gaps):
            return _continued([lines[n] for n in order], float(np.median(gaps)), grey.shape[0])
    if len(across) == 1 and _is_tight(across[0], grey):
        return []
    return across


def _continued(lines: list[Line], gap: float, height: int) -> list[Line]:
    """Ruled paper's lines, from top to bottom, with those that the picture's edges cut."""
    above, below = lines[0], lines[-1]
    more = []
    for line, step in ((above, -gap), (below, gap)):
        shifted = Line(line.along, line.heights + np.float32(step), line.thickness)
        if shifted.heights.max() > -2 and shifted.heights.min() < height + 2:
            more.append(shifted)
    return lines + more


def _reaches(line: Line, grey: Grey) -> bool:
    """Whether a line is dark up to both edges of the picture."""
    height, width = grey.shape
    for places in (np.arange(1, 7), np.arange(width - 7, width - 1)):
        rows = np.rint(line.at(places)).astype(int)
        if (rows < 0).all() or (rows >= height).all():
            continue  # it leaves the picture above or below
        low, high = max(int(rows.min()) - 3, 0), min(int(rows.max()) + 4, height)
        part = grey[low:high, places]
        around = grey[max(low - 8, 0) : high + 8, places]
        if (around.max() - part.min(axis=0) < _FAINT + 3).any():
            return False
    return True


def _is_tight(line: Line, grey: Grey) -> bool:
    """Whether a picture is cut out along its ink: then the widest bar reaches both edges, too."""
    height = grey.shape[0]
    middle = float(line.at(np.array([grey.shape[1] / 2]))[0])
    rows = grey.min(axis=1) < 0.45 * float(np.median(grey[:: max(height // 64, 1)]))
    away = np.abs(np.arange(height) - middle) > line.thickness + 4
    written = np.flatnonzero(rows & away)
    if not len(written):
        return True  # nothing else is written: a minus
    top, bottom = min(written[0], middle), max(written[-1], middle)
    return bool(top <= 3 + line.thickness and bottom >= height - 4 - line.thickness)


def line_mask(shape: tuple[int, ...], lines: list[Line], scale: float, left: float, top: float) -> Grey:
    """Where lines are on a part of the picture, `scale` times as large: 1, and 0 elsewhere."""
    mask = np.zeros(shape, np.uint8)
    for line in lines:
        x, y = (line.along - left) * scale, (line.heights - top) * scale
        path = np.rint(np.stack([x, y], axis=1) * 16).astype(np.int32)
        thick = int(np.ceil(line.thickness * scale)) + 2
        cv2.polylines(mask, [path], False, 1, thick, cv2.LINE_8, 4)
    return mask


def erase_lines(white: Grey, mask: Grey, upright: bool) -> Grey:
    """White paper without its lines; `upright` tells whether they run from top to bottom.

    Lighter lines go by their tone, and what is written over them stays. Lines as dark as the ink go where no
    stroke crosses them.
    """
    on = mask > 0
    values = white[on]
    if not values.size:
        return white
    beside = cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
    ink = white[beside & (white < 128)]
    black = float(np.percentile(ink, 30)) if ink.size > 20 else 0.0
    dark = values[values < 235]
    line = float(np.median(dark)) if dark.size else 255.0
    result = white.copy()
    if line - black > 70:
        cut = max(float(np.percentile(dark, 20)) - 12, black + 50)
        table = np.clip((np.arange(256) - black) * (255 / (cut - black)), 0, 255).astype(np.uint8)
        result[on] = table[values]
        return result
    binary = (white < 150).view(np.uint8)
    off = binary & (1 - mask)
    reach = 3 + _depth(mask, upright)
    before = np.zeros((1, 2 * reach + 1) if upright else (2 * reach + 1, 1), np.uint8)
    after = before.copy()
    if upright:
        before[0, : reach + 1], after[0, reach:] = 1, 1
    else:
        before[: reach + 1], after[reach:] = 1, 1
    crossed = cv2.dilate(off, before) & cv2.dilate(off, after)
    slack = np.ones((3, 1) if upright else (1, 3), np.uint8)
    result[on & (cv2.dilate(crossed, slack) == 0)] = 255
    return result


def _depth(mask: Grey, upright: bool) -> int:
    """About how many pixels a line of the mask is thick."""
    runs = mask.sum(axis=1 if upright else 0)
    steps = np.abs(np.diff(mask.astype(np.int8), axis=1 if upright else 0)).sum(axis=1 if upright else 0)
    return int(np.ceil(np.median(runs / np.maximum(steps / 2, 1))))
