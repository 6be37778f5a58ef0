"""Render ink as a photograph of paper: ruling, light, pen, camera and file format.

The picture is a camera's, not yet the model's: `recognizer.preprocessing` makes that of it, as it does with
what people send, so that training sees what preprocessing leaves over of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from components.ink.ink import Stroke

Pixels = npt.NDArray[np.uint8]  # (height, width), or (height, width, 3) with red first
Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.floating[Any]]  # (n, 2): x, y

_MOST = 150_000  # pixels of a photograph: bounds the time that it takes
_FINE = 2  # strokes are drawn so many times larger
_SHIFT = 4  # OpenCV draws at positions given in 1/16 pixels


@dataclass(frozen=True)
class Photograph:
    """The picture, and where on it the strokes lie, in pixels."""

    pixels: Pixels
    strokes: tuple[Stroke, ...]


@dataclass(frozen=True)
class _Sheet:
    """The part of a sheet that the picture shows, and how it is bent. `symbol`: a symbol's height, pixels."""

    width: int
    height: int
    symbol: float
    homography: npt.NDArray[np.float64]
    wave: tuple[float, float, float]  # of the sheet, that is not flat: height, length and phase

    def bent(self, points: Points) -> Stroke:
        """Map points of the flat sheet to the picture."""
        height, length, phase = self.wave
        x, y = points[:, 0], points[:, 1] + height * np.sin(points[:, 0] / length + phase)
        h = self.homography
        z = h[2, 0] * x + h[2, 1] * y + 1
        seen = np.stack([(h[0, 0] * x + h[0, 1] * y) / z, (h[1, 0] * x + h[1, 1] * y) / z], axis=1)
        return seen.astype(np.float32)


def photograph(
    strokes: Sequence[Stroke], symbol: float, neighbours: Sequence[Stroke], rng: np.random.Generator
) -> Photograph:
    """Render an ink whose symbols are `symbol` units high; `neighbours` may be written around it."""
    points = np.concatenate(strokes)
    low, extent = points.min(axis=0), np.ptp(points, axis=0) + 0.2 * symbol
    scale = float(np.exp(rng.uniform(np.log(9), np.log(48)))) / symbol
    around = rng.uniform(0.15, 1.2, 4) * symbol  # paper left, above, right and below, units
    if rng.random() < 0.15:
        around += rng.uniform(0, 3, 4) * symbol
    size = extent + around[:2] + around[2:]
    scale = min(scale, float(np.sqrt(_MOST / size.prod())))
    width, height = (max(12, int(side)) for side in np.ceil(size * scale))
    sheet = _sheet(width, height, symbol * scale, rng)
    placed = [sheet.bent((stroke - low + around[:2]) * scale) for stroke in strokes]
    pen = _pen(sheet.symbol, rng)
    ink = _written(placed, width, height, pen, rng)
    if neighbours and rng.random() < 0.3:
        beside = _beside(neighbours, np.array([width, height]), sheet, around * scale, rng)
        ink = np.maximum(ink, _written(beside, width, height, pen, rng))
    pixels = _composed(ink, sheet, rng)
    return Photograph(_taken(pixels, sheet.symbol, rng), tuple(placed))


def _sheet(width: int, height: int, symbol: float, rng: np.random.Generator) -> _Sheet:
    turn = rng.normal(0, 0.015)
    tilt = rng.normal(0, 0.04, 2) / (width, max(height, width / 3))
    linear = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    centre = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    linear[2, :2] = tilt
    whole = centre @ linear @ np.linalg.inv(centre)
    wave = (abs(rng.normal(0, 0.1)) * symbol, rng.uniform(0.15, 0.6) * width, rng.uniform(0, 6.3))
    return _Sheet(width, height, symbol, whole / whole[2, 2], wave)


def _pen(symbol: float, rng: np.random.Generator) -> float:
    """Sample a pen width in pixels, from a sharp pencil to a marker."""
    width = np.exp(rng.uniform(np.log(0.045), np.log(0.16)))
    if rng.random() < 0.12:
        width = rng.uniform(0.16, 0.26)
    return max(float(width) * symbol, 0.8)


def _written(
    strokes: Sequence[Stroke], width: int, height: int, pen: float, rng: np.random.Generator
) -> Floats:
    """Return the ink coverage, 0 to 1, of a pen whose pressure varies and that sometimes skips."""
    canvas = np.zeros((height * _FINE, width * _FINE), np.uint8)
    press, vary = rng.uniform(0.6, 1), rng.uniform(0, 0.35)
    for stroke in strokes:
        places = np.rint(((stroke + 0.5) * _FINE - 0.5) * (1 << _SHIFT)).astype(np.int32)
        dark = 255 * float(np.clip(press + rng.normal(0, 0.08), 0.4, 1))
        pieces = 1 + len(places) // 8
        widths = pen * np.exp(vary * rng.normal(0, 1, pieces))
        for (start, end), wide in zip(
            pairwise(np.linspace(0, len(places) - 1, pieces + 1).astype(int)), widths, strict=True
        ):
            part = places[start : end + 1] if end > start else places[[start, start]]
            cv2.polylines(canvas, [part], False, dark, max(1, round(wide * _FINE)), cv2.LINE_AA, _SHIFT)
    ink = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    ink *= np.float32(1 / 255)
    if rng.random() < 0.35:  # the paper's grain shows through pencil and dry pens
        grain = _noise(width, height, rng.uniform(0.8, 2.2), rng)
        ink *= np.clip(1 + rng.uniform(0.3, 1.6) * grain, 0, 1)
    if rng.random() < 0.12:  # the pen fails for a while
        ink *= np.clip(0.9 + 1.2 * _noise(width, height, max(2.0, 4 * pen), rng), 0.1, 1)
    return cast(Floats, ink)


def _beside(
    strokes: Sequence[Stroke],
    size: npt.NDArray[np.int64],
    sheet: _Sheet,
    around: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> list[Stroke]:
    """Return other writing that is cut off by an edge of the picture."""
    points = np.concatenate(strokes)
    low, extent = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-6)
    scale = sheet.symbol * rng.uniform(1.2, 2.5) / extent[1] if extent[1] > 0.2 * extent[0] else 0.0
    scale = max(scale, sheet.symbol * 3 / extent[0])
    side = int(rng.integers(4))
    reach = rng.uniform(0.1, 0.9) * around[side]
    start = rng.uniform(-0.3, 0.7, 2) * size
    axis = side % 2
    start[axis] = reach - extent[axis] * scale if side < 2 else size[axis] - reach
    return [sheet.bent((stroke - low) * scale + start) for stroke in strokes]


def _composed(ink: Floats, sheet: _Sheet, rng: np.random.Generator) -> Floats:
    """Compose light, paper, ruling and ink: (height, width) or (height, width, 3), 0 to 1."""
    width, height = sheet.width, sheet.height
    colours = rng.random() < 0.5
    paper = np.full(3, rng.uniform(0.62, 1), np.float32)
    paper *= np.array([1, 1 - rng.uniform(0, 0.05), 1 - rng.uniform(0, 0.15)], np.float32)
    tone = rng.uniform(0.05, 0.55) if rng.random() < 0.8 else rng.uniform(0.5, 0.75)
    pen = tone * np.ones(3, np.float32)
    if rng.random() < 0.4:  # blue ink; a rarer red
        pen = tone * np.array([[0.6, 0.8, 1.8], [1.6, 0.5, 0.5]], np.float32)[int(rng.random() < 0.15)]
    light = _light(width, height, rng)
    lines = _lines(sheet, rng)
    shade = np.array([0.6, 0.75, 0.95] if rng.random() < 0.6 else [0.5, 0.5, 0.5], np.float32)
    strength = rng.uniform(0.08, 1.0)
    light += rng.uniform(0, 0.03) * _noise(width, height, rng.uniform(0.7, 6), rng)
    if rng.random() < 0.12:  # the other side of the sheet shows through
        behind = cv2.GaussianBlur(ink[:, ::-1], (0, 0), max(0.8, 0.06 * sheet.symbol))
        light *= 1 - rng.uniform(0.05, 0.25) * np.roll(behind, int(rng.integers(height)), 0)
    layers = []
    for red_green_blue in range(3) if colours else (1,):
        layer = paper[red_green_blue] * light
        if lines is not None:
            layer = layer * (1 - (strength * (1 - shade[red_green_blue])) * lines)
        layers.append(layer * (1 - (1 - min(float(pen[red_green_blue]), 0.9)) * ink))
    whole = np.stack(layers, axis=2) if colours else layers[0]
    if rng.random() < 0.18:
        whole = _on_desk(whole, ink, sheet, rng)
    if rng.random() < 0.05:  # a blackboard, a screen in the dark
        whole = 1.02 - whole
    return cast(Floats, whole)


def _lines(sheet: _Sheet, rng: np.random.Generator) -> Floats | None:
    """Return the coverage, 0 to 1, of ruled or squared lines, or none."""
    kind = rng.random()
    if kind > 0.55:
        return None
    width, height = sheet.width, sheet.height
    canvas = np.zeros((height, width), np.uint8)
    squared = kind < 0.2
    step = sheet.symbol * (rng.uniform(0.5, 1.6) if squared else rng.uniform(1.2, 3))
    thick = max(1, round(rng.uniform(0.03, 0.09) * sheet.symbol))
    beyond = 0.1 * max(width, height)
    along = np.linspace(-beyond, width + beyond, 24)
    lines = [
        np.stack([along, np.full(24, y)], 1)
        for y in np.arange(-beyond + rng.uniform(0, step), height + beyond, step)
    ]
    if squared:
        down = np.linspace(-beyond, height + beyond, 8)
        verticals = np.arange(-beyond + rng.uniform(0, step), width + beyond, step)
        lines += [np.stack([np.full(8, x), down], 1) for x in verticals]
    elif rng.random() < 0.15:  # the margin's line
        x = rng.uniform(0, 0.1) * width
        lines.append(np.array([[x, -beyond], [x, height + beyond]]))
    paths = [np.rint(sheet.bent(line) * (1 << _SHIFT)).astype(np.int32) for line in lines]
    cv2.polylines(canvas, paths, False, 255, thick, cv2.LINE_AA, _SHIFT)
    drawn = canvas.astype(np.float32) * np.float32(1 / 255)
    if rng.random() < 0.4:  # badly printed
        drawn *= np.clip(0.8 + rng.uniform(0.3, 1) * _noise(width, height, 3, rng), 0, 1)
    return cast(Floats, drawn)


def _light(width: int, height: int, rng: np.random.Generator) -> Floats:
    """Return uneven light: a gradient, and shadows with sharp or soft edges."""
    y, x = np.mgrid[0:24, 0:48].astype(np.float32) / np.array([[[24]], [[48]]], np.float32) - 0.5
    light = 1 + rng.normal(0, 0.15) * x + rng.normal(0, 0.15) * y
    light -= rng.uniform(0, 0.4) * (x * x + y * y)
    if rng.random() < 0.3:
        angle, place, soft = rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4), rng.uniform(8, 60)
        edge = (x * np.cos(angle) + y * np.sin(angle) - place) * soft
        light *= 1 - rng.uniform(0.1, 0.5) / (1 + np.exp(-edge))
    light *= np.float32(1 / max(1.0, float(light.max())))
    return cast(Floats, cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR))


def _noise(width: int, height: int, coarse: float, rng: np.random.Generator) -> Floats:
    """Return smooth noise with grains of `coarse` pixels, about -1 to 1."""
    shape = max(2, round(height / coarse)), max(2, round(width / coarse))
    grains = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape)
    smooth = cv2.resize(grains, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, np.float32) * np.float32(2 / 255) - 1


def _on_desk(pixels: Floats, ink: Floats, sheet: _Sheet, rng: np.random.Generator) -> Floats:
    """Surround the sheet with a desk, a scanner's lid, or a dark line along an edge."""
    rows, columns = np.flatnonzero(ink.max(axis=1) > 0.1), np.flatnonzero(ink.max(axis=0) > 0.1)
    if not len(rows):
        return pixels
    free = np.array([columns[0], rows[0], sheet.width - 1 - columns[-1], sheet.height - 1 - rows[-1]])
    wide = np.floor(rng.uniform(0, 0.7, 4) * free) * (rng.random(4) < 0.6)
    left, top, right, bottom = wide.astype(int)
    inside = np.zeros((sheet.height, sheet.width), np.float32)
    inside[top : sheet.height - bottom, left : sheet.width - right] = 1
    tone = rng.uniform(0.02, 0.6) * np.array([1, rng.uniform(0.7, 1), rng.uniform(0.4, 1)], np.float32)
    desk = 1 + rng.uniform(0, 0.3) * _noise(sheet.width, sheet.height, rng.uniform(1, 20), rng)
    if pixels.ndim == 3:
        return cast(Floats, pixels * inside[..., None] + (desk * (1 - inside))[..., None] * tone)
    return cast(Floats, pixels * inside + desk * (1 - inside) * tone[1])


def _taken(pixels: Floats, symbol: float, rng: np.random.Generator) -> Pixels:
    """Apply blur, sensor noise, resolution and JPEG compression."""
    blur = abs(rng.normal(0, 0.035)) * symbol
    if blur > 0.3:
        pixels = cast(Floats, cv2.GaussianBlur(pixels, (0, 0), blur))
    pixels = pixels * np.float32(255 * rng.uniform(0.75, 1.1))
    if rng.random() < 0.7:
        shape = pixels.shape
        noise = np.frombuffer(rng.bytes(2 * pixels.size), np.uint8).reshape(2, *shape).astype(np.float32)
        pixels = pixels + (noise[0] + noise[1] - 255) * np.float32(rng.uniform(0, 0.07))
    taken: Pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(20, 95))
        _, file = cv2.imencode(".jpg", taken, [cv2.IMWRITE_JPEG_QUALITY, quality])
        taken = cast(Pixels, cv2.imdecode(file, cv2.IMREAD_UNCHANGED))
    return taken
