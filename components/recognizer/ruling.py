"""Lines that run across a whole sheet: ruled and squared paper, margins, edges. Found, and taken away.

Across a strip of a sheet a printed line is a dip in the mean brightness of its row, however faint it is.
Where all strips have such a dip, at one height or along one slope, there is a line. What a hand draws ends
before the edges of the sheet: a fraction bar, a minus, the bar of a root.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_LIGHTER = 35  # levels that a line is lighter than the ink, to be told from it by its tone,
_MUCH_LIGHTER = 80  # and by nothing else
_SHOWN = 0.4  # of a line's strips that the picture shows, at least
_FAMILY = 3  # so many lines at equal distances are ruled paper, whatever else they do


@dataclass(frozen=True)
class Line:
    """A line across a picture: the middle of its height at places along it, in pixels."""

    along: Floats
    heights: Floats
    thickness: float

    def moved(self, left: float, top: float, scale: float) -> Line:
        """The line on a part of the picture from (left, top) on, `scale` times as large."""
        return Line(
            (self.along - np.float32(left - 0.5)) * np.float32(scale) - np.float32(0.5),
            (self.heights - np.float32(top - 0.5)) * np.float32(scale) - np.float32(0.5),
            self.thickness * scale,
        )

    def at(self, places: npt.NDArray[Any]) -> Floats:
        return np.asarray(np.interp(places, self.along, self.heights), np.float32)


def find_lines(grey: Grey, inside: Grey | None = None) -> list[Line]:
    """The lines that cross a sheet of dark ink on light paper from the left to the right; `inside` is 1 where
    the picture shows the sheet."""
    height, width = grey.shape
    if height < 12 or width < 64:
        return []
    strips = min(_STRIPS, width // 16)
    profile = _profile(grey, strips)
    thickest = max(7, height // 50 | 1)
    column = np.ones((thickest, 1), np.uint8)
    # Beyond the picture there is paper: a line along its edge is a dip as well.
    padded = cv2.copyMakeBorder(profile, thickest, thickest, 0, 0, cv2.BORDER_CONSTANT, value=255)
    dips = cv2.subtract(cv2.erode(cv2.dilate(padded, column), column), padded)[thickest:-thickest]
    valid = np.ones(dips.shape, np.bool_)
    if inside is not None:
        share = _profile(inside * np.uint8(255), strips)
        valid = cv2.erode(share, column) > 250
        dips[~valid] = 0
    if (dips.max(axis=0) > _FAINT).mean() < _SHARE * valid.any(axis=0).mean():
        return []
    strip = width // strips
    slope = _slope(dips, strip)
    found = [_traced(dips, valid, row, slope, strip, width) for row in _rows(dips, valid, slope, strip)]
    return _ruled(_distinct([line for line in found if line is not None]), grey, inside)


def _profile(grey: Grey, strips: int) -> Grey:
    """The mean of each row within each strip: strips are whole pixels wide, which is many times faster, and
    the few columns that are left over are not looked at."""
    height, width = grey.shape
    whole = grey[:, : width // strips * strips]
    if not grey.flags.c_contiguous:  # a picture on its side
        return np.ascontiguousarray(
            cv2.resize(whole.T, (height, strips), interpolation=cv2.INTER_AREA).T.astype(np.uint8, copy=False)
        )
    return np.asarray(cv2.resize(whole, (strips, height), interpolation=cv2.INTER_AREA), np.uint8)


def _slope(dips: Grey, strip: float) -> float:
    """The slope along which dips line up best, in rows a column."""
    steps = np.linspace(-_STEEP, _STEEP, _SLOPES)
    coarse = np.asarray(cv2.dilate(dips, np.ones((3, 1), np.uint8)), np.uint8)
    sharp = [_sharpness(coarse, float(step) * strip) for step in steps]
    # No slope is the likeliest.
    sharp[_SLOPES // 2] *= 1.02
    return float(steps[int(np.argmax(sharp))])


def _sharpness(dips: Grey, step: float) -> float:
    """How much the rows of sheared dips differ."""
    height, strips = dips.shape
    shear = np.array([[1, 0, 0], [step, 1, -step * (strips - 1) / 2]])
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    rows = cv2.reduce(
        cv2.warpAffine(dips, shear, (strips, height), flags=flags), 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F
    )
    return float(np.square(rows).sum())


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


def _rows(dips: Grey, valid: npt.NDArray[np.bool_], slope: float, strip: float) -> list[int]:
    """Where, in the middle of the picture, lines may be."""
    wide = cv2.dilate(_sheared(dips, slope * strip), np.ones((2 * _REACH + 1, 1), np.uint8))
    strips = wide.shape[1]
    shown = _sheared(valid, slope * strip)
    wide[~shown] = 255  # nobody knows
    # The share of strips that has to show the line says which of the sorted values is looked at.
    least = int((1 - _SHARE) * strips)
    score = np.partition(wide, least, axis=1)[:, least].astype(np.float32)
    score += 0.05 * _sheared(dips, slope * strip).mean(axis=1)
    rows: list[int] = []
    score = np.where((score > _FAINT) & (shown.mean(axis=1) > _SHOWN), score, 0)
    while len(rows) < 80:
        row = int(np.argmax(score))
        if score[row] <= 0:
            break
        rows.append(row)
        score[max(row - 2 * _REACH, 0) : row + 2 * _REACH + 1] = 0
    return rows


def _traced(
    dips: Grey, valid: npt.NDArray[np.bool_], row: int, slope: float, strip: float, width: int
) -> Line | None:
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
    here = (inside & valid[rows.clip(0, height - 1), numbers[:, None]]).any(axis=1)
    if here.sum() < _SHOWN * strips:
        return None
    typical = float(np.median(depth[here]))
    good = here & (depth > max(0.3 * typical, _FAINT - 1))
    if typical < _FAINT or good.sum() < _SHARE * here.sum():
        return None
    # The middle of the dip, weighed by depth.
    strong = np.where(window > 0.5 * depth[:, None], window, 0)
    heights = (strong * rows).sum(axis=1) / np.maximum(strong.sum(axis=1), 1e-6)
    places = (numbers + 0.5) * strip
    weights = np.where(good & (depth < 2.5 * typical), 1.0, 0.0)
    if weights.sum() < 4:
        return None
    curve = _parabola(places / width, heights, weights)
    off = np.abs(heights - np.polyval(curve, places / width))
    if (off[weights > 0] < 1.5).mean() < 0.7:
        return None
    weights[off >= 1.5] = 0
    if weights.sum() < 4:
        return None
    curve = _parabola(places / width, heights, weights)
    thickness = float(np.median((window.sum(axis=1) / np.maximum(depth, 1))[weights > 0]))
    ends = np.concatenate([[0.0], places, [width]])
    heights = np.polyval(curve, ends / width)
    return Line(ends.astype(np.float32), heights.astype(np.float32), thickness)


def _parabola(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Coefficients for `polyval`, by normal equations: NumPy's own fits take a hundred times as long."""
    powers = np.stack([x * x, x, np.ones_like(x)])
    return np.asarray(np.linalg.solve((powers * weights) @ powers.T, (powers * weights) @ y), np.float64)


def _distinct(lines: list[Line]) -> list[Line]:
    """Without those that were found twice; the first is the clearest."""
    kept: list[Line] = []
    for line in lines:
        if all(abs(_middle(line) - _middle(other)) > line.thickness + other.thickness + 2 for other in kept):
            kept.append(line)
    return kept


def _ruled(lines: list[Line], grey: Grey, inside: Grey | None) -> list[Line]:
    """Those that are no hand's: evenly spaced, or across the whole sheet."""
    if not lines:
        return []
    across = [line for line in lines if _reaches(line, grey, inside)]
    if inside is None:  # a sheet that was found has no lines along its edges: they are the ground
        across = [line for line in across if not _at_edge(line, grey) or _covers_edge(line, grey)]
    if 0 < len(across) < _FAMILY:
        across = [line for line in across if _at_edge(line, grey) or not _is_tight(line, grey)]
    if len(across) < 2:
        return across
    if len(lines) >= _FAMILY and len(across) >= 0.5 * len(lines) and _step(lines) is not None:
        across = lines
    step = _step(across)
    return across if step is None else _completed(across, step, grey)


def _step(lines: list[Line]) -> float | None:
    """The distance between ruled paper's lines, some of which may not have been found."""
    middles = np.sort([_middle(line) for line in lines])
    step = float(np.median(np.diff(middles)))
    places = (middles - middles[0]) / step
    # The distance that fits all of them best.
    numbers = np.rint(places)
    step *= float((places @ numbers) / (numbers @ numbers)) if numbers.any() else 1.0
    off = np.abs(middles - middles[0] - numbers * step)
    return step if len(lines) == 2 or off.max() < 0.12 * step + 1 else None


def _completed(lines: list[Line], step: float, grey: Grey) -> list[Line]:
    """All lines of ruled paper: those that writing hides and that the picture's edges cut as well."""
    lines = sorted(lines, key=_middle)
    first = _middle(lines[0])
    found = {round((_middle(line) - first) / step): line for line in lines}
    last = max(found)
    for number in (*range(-2, 0), *range(last), last + 1, last + 2):
        if number not in found:
            near = min(found, key=lambda n: abs(n - number))
            shift = np.float32(step * (number - near))
            line = Line(found[near].along, found[near].heights + shift, found[near].thickness)
            if _shows(line, grey, _SHARE if not 0 < number < last else _SHARE / 2):
                found[number] = line
    return list(found.values())


def _middle(line: Line) -> float:
    return float(line.heights[len(line.heights) // 2])


def _shows(line: Line, grey: Grey, share: float) -> bool:
    """Whether a line is seen about where it should be."""
    height, width = grey.shape
    places = np.arange(4, width - 4, max(8, width // 64))
    rows = np.rint(line.at(places)).astype(np.intp)
    here = (rows >= 1) & (rows < height - 1)
    if here.sum() < 3:
        return False
    rows, places = rows[here], places[here]
    near = grey[(rows + np.arange(-3, 4)[:, None]).clip(0, height - 1), places].min(axis=0)
    beside = grey[(rows + np.array([[-9], [9]])).clip(0, height - 1), places].max(axis=0)
    return bool((beside.astype(np.int16) - near > _FAINT + 3).mean() > share)


def _reaches(line: Line, grey: Grey, inside: Grey | None) -> bool:
    """Whether a line is dark up to both edges of the sheet."""
    height, width = grey.shape
    ends = 0, width
    if inside is not None:
        everywhere = np.arange(width)
        rows = np.rint(line.at(everywhere)).astype(np.intp)
        within = (rows >= 0) & (rows < height)
        within[within] = inside[rows[within], everywhere[within]] > 0
        if not within.any():
            return False
        margin = 0.015 * width  # the edge of a sheet is not known to the pixel
        left, right = np.flatnonzero(within)[[0, -1]]
        ends = int(left + margin * (left > 0)), int(right + 1 - margin * (right < width - 1))
    for places in (np.arange(ends[0] + 1, ends[0] + 7), np.arange(ends[1] - 7, ends[1] - 1)):
        places = places.clip(0, width - 1)
        rows = np.rint(line.at(places)).astype(np.intp)
        if (rows < 0).all() or (rows >= height).all():
            continue  # it leaves the picture above or below
        low, high = max(int(rows.min()) - 3, 0), min(int(rows.max()) + 4, height)
        part = grey[low:high, places]
        around = grey[max(low - 8, 0) : high + 8, places]
        if (around.max() - part.min(axis=0) < _FAINT + 3).any():
            return False
    return True


def _at_edge(line: Line, grey: Grey) -> bool:
    near = max(6.0, 0.025 * grey.shape[0])
    return bool(line.heights.mean() < near or line.heights.mean() > grey.shape[0] - 1 - near)


def _covers_edge(line: Line, grey: Grey) -> bool:
    """Whether a line runs along the picture's very edge. A hand's stroke that a picture is cut out along
    touches the edge here and there."""
    rows = grey[:12] if line.heights.mean() < grey.shape[0] / 2 else grey[::-1][:12]
    return bool((rows.max(axis=0).astype(np.int16) - rows[0] > _FAINT + 3).mean() > 0.85)


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


def line_mask(shape: tuple[int, ...], lines: Sequence[Line]) -> Grey:
    """Where lines are on a picture: 1, and 0 elsewhere."""
    mask = np.zeros(shape, np.uint8)
    for line in lines:
        path = np.rint(np.stack([line.along, line.heights], axis=1) * 16).astype(np.int32)
        cv2.polylines(mask, [path], False, 1, int(np.ceil(line.thickness)) + 2, cv2.LINE_8, 4)
    return mask


def erase_lines(white: Grey, lines: Sequence[Line], others: Grey) -> Grey:
    """White paper with black ink without its lines from the left to the right; `others` is 1 where there are
    lines from top to bottom.

    Lighter lines go by their tone, and what is written over them stays. Lines as dark as the ink go where no
    stroke crosses them.
    """
    mask = line_mask(white.shape, lines)
    ink = white[(white < 128) & ((mask | others) == 0)]
    black = float(np.percentile(ink, 30)) if ink.size > 20 else 0.0
    tones = [_tone(white, line) for line in lines]
    light = [n for n, tone in enumerate(tones) if tone - black > _LIGHTER]
    result = white.copy()
    if light:
        on = line_mask(white.shape, [lines[n] for n in light]) > 0
        darkest = min(tones[n] for n in light)
        # A line's pixels are not all of one tone.
        cut = max(darkest - 0.15 * (255 - darkest) - 8, black + 0.5 * (darkest - black))
        table = np.clip((np.arange(256) - black) * (255 / (cut - black)), 0, 255).astype(np.uint8)
        result[on] = table[white[on]]
        if darkest - black > _MUCH_LIGHTER and len(light) == len(lines):
            return result
    dark = line_mask(white.shape, [line for n, line in enumerate(lines) if n not in light])
    result[dark > 0] = 255
    kept = (mask > 0) & _crossed(white, mask)
    result[kept] = white[kept]
    return result


def _tone(white: Grey, line: Line) -> float:
    """How dark a line is where nothing is written on it."""
    height, width = white.shape
    places = np.arange(0, width, max(1, width // 100))
    rows = np.rint(line.at(places)).astype(np.intp)
    here = (rows >= 0) & (rows < height)
    if not here.any():
        return 255.0
    around = (rows[here] + np.arange(-1, 2)[:, None]).clip(0, height - 1)
    return float(np.median(white[around, places[here]].min(axis=0)))


def _crossed(white: Grey, mask: Grey) -> npt.NDArray[np.bool_]:
    """Where lines have ink on both sides."""
    off = (white < 150).view(np.uint8) & (1 - mask)
    reach = 3 + _depth(mask)
    before = np.zeros((2 * reach + 1, 1), np.uint8)
    before[: reach + 1] = 1
    crossed = cv2.dilate(off, before) & cv2.dilate(off, before[::-1].copy())
    return np.asarray(cv2.dilate(crossed, np.ones((1, 3), np.uint8)) > 0)


def _depth(mask: Grey) -> int:
    """About how many pixels a line of the mask is thick."""
    runs = mask.sum(axis=0, dtype=np.int64)
    steps = np.abs(np.diff(mask.view(np.int8), axis=0)).sum(axis=0, dtype=np.int64)
    return int(np.ceil(np.median(runs / np.maximum(steps / 2, 1))))
