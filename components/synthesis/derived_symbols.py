# ruff: noqa: E501 (a table)
r"""Derive samples of rare symbol classes from other symbols and from pen strokes.

`DERIVATIONS` is the whole table: a class and the ways to write it. Coordinates are in heights of a capital,
x to the right, y down; every pen stroke comes out a little different each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from components.ink.ink import Stroke
from components.synthesis.symbol_bank import Sample, SymbolBank, box_of, warped

Strokes = tuple[Stroke, ...]
Recipe = Callable[["Pen"], Strokes]
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

_SHAKE = 0.035  # standard deviation of a control point, heights of a capital
_SAMPLES, _HANDS = 48, 60  # so many of a class; classes that as many people wrote get none


@dataclass(frozen=True)
class Pen:
    """What recipes draw with: known symbols and random numbers."""

    bank: SymbolBank
    rng: np.random.Generator

    def shaken(self, points: tuple[Point, ...]) -> npt.NDArray[np.float64]:
        return np.array(points) + self.rng.normal(0, _SHAKE, (len(points), 2))


class MissingSymbolError(LookupError):
    """A recipe needs a symbol that no source has."""


def line(*points: Point) -> Recipe:
    """Draw straight pen strokes from point to point."""

    def draw(pen: Pen) -> Strokes:
        corners = pen.shaken(points)
        steps = [np.linspace(a, b, 9)[:-1] for a, b in pairwise(corners)]
        return (np.concatenate([*steps, corners[-1:]]).astype(np.float32),)

    return draw


def curve(*points: Point) -> Recipe:
    """Draw a smooth pen stroke through the points (Catmull-Rom)."""

    def draw(pen: Pen) -> Strokes:
        p = pen.shaken(points)
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
        t = np.linspace(0, 1, 9)[:-1, None]
        pieces = []
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True):
            pieces.append(
                0.5
                * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * (b - c) + d - a) * t**3)
            )
        return (np.concatenate([*pieces, p[-2:-1]]).astype(np.float32),)

    return draw


def dot(x: float, y: float, size: float = 0.04) -> Recipe:
    """Draw a dot: a tap, a tick or a tiny ring."""

    def draw(pen: Pen) -> Strokes:
        kind = pen.rng.random()
        if kind < 0.5:
            ends = np.array([x, y]) + np.stack([np.zeros(2), pen.rng.normal(0, size, 2)])
            return (np.linspace(ends[0], ends[1], 4).astype(np.float32),)
        angles = np.linspace(0, 2 * np.pi * pen.rng.uniform(0.7, 1.2), 9) + pen.rng.uniform(0, 6)
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * size * pen.rng.uniform(0.5, 1.1)
        return ((ring + np.array([x, y])).astype(np.float32),)

    return draw


def ring(x: float, y: float, radius: float, tall: float = 1.0) -> Recipe:
    """Draw a circle or an upright ellipse."""

    def draw(pen: Pen) -> Strokes:
        start, way = pen.rng.normal(-1.6, 0.5), 1 if pen.rng.random() < 0.15 else -1
        angles = start + way * np.linspace(0, 2 * np.pi * pen.rng.normal(1.03, 0.05), 25)
        wide = radius * np.exp(pen.rng.normal(0, 0.08))
        points = np.stack([x + wide * np.cos(angles), y + tall * radius * np.sin(angles)], axis=1)
        return (points.astype(np.float32),)

    return draw


def blob(x: float, y: float, radius: float) -> Recipe:
    """Draw a scribbled, filled dot."""

    def draw(pen: Pen) -> Strokes:
        angles = np.linspace(0, 2 * np.pi * pen.rng.uniform(2.5, 4.5), 40) + pen.rng.uniform(0, 6)
        spiral = np.linspace(1.0, 0.15, 40) * radius
        points = np.stack([x + spiral * np.cos(angles), y + spiral * np.sin(angles)], axis=1)
        return ((points + pen.rng.normal(0, 0.01, points.shape)).astype(np.float32),)

    return draw


def of(token: str, box: Box | None = None) -> Recipe:
    """Return a written sample, one height high, or stretched to fill a box."""

    def draw(pen: Pen) -> Strokes:
        if token not in pen.bank:
            raise MissingSymbolError(token)
        strokes = pen.bank.draw(token, pen.rng).strokes
        (left, top), (right, bottom) = box_of(strokes).tolist()
        width, height = max(right - left, 1e-6), max(bottom - top, 1e-6)
        if box is None:
            scale = np.full(2, 1 / max(height, 0.3 * width), np.float32)
            corner = np.zeros(2, np.float32)
        else:
            scale = np.array([(box[2] - box[0]) / width, (box[3] - box[1]) / height], np.float32)
            corner = np.array(box[:2], np.float32)
        return tuple((s - np.array([left, top], np.float32)) * scale + corner for s in strokes)

    return draw


def mirrored(part: Recipe) -> Recipe:
    """Mirror left and right."""
    return lambda pen: _linear(part(pen), np.array([[-1, 0], [0, 1]]))


def flipped(part: Recipe) -> Recipe:
    """Flip upside down."""
    return lambda pen: _linear(part(pen), np.array([[1, 0], [0, -1]]))


def turned(part: Recipe, degrees: float) -> Recipe:
    """Rotate clockwise, as seen on paper."""
    a = np.deg2rad(degrees)
    return lambda pen: _linear(part(pen), np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]))


def stretched(part: Recipe, wide: float, tall: float = 1.0) -> Recipe:
    return lambda pen: _linear(part(pen), np.diag([wide, tall]))


def placed(part: Recipe, box: Box) -> Recipe:
    """Return a derived part, stretched to fill a box."""

    def draw(pen: Pen) -> Strokes:
        strokes = part(pen)
        (left, top), (right, bottom) = box_of(strokes).tolist()
        scale = np.array(
            [(box[2] - box[0]) / max(right - left, 1e-6), (box[3] - box[1]) / max(bottom - top, 1e-6)]
        )
        return tuple(((s - (left, top)) * scale + box[:2]).astype(np.float32) for s in strokes)

    return draw


def both(*parts: Recipe) -> Recipe:
    """Overlay parts."""
    return lambda pen: tuple(stroke for part in parts for stroke in part(pen))


def _linear(strokes: Strokes, matrix: npt.NDArray[np.float64]) -> Strokes:
    return tuple((s @ matrix.T).astype(np.float32) for s in strokes)


_SLASH = line((0.15, 1.0), (0.75, 0.0))
_HEAD = line((0.75, 0.3), (1.0, 0.5), (0.75, 0.7))  # of an arrow that ends at (1, 0.5)
_TAIL = line((0.25, 0.3), (0.0, 0.5), (0.25, 0.7))
_SHAFT = line((0.0, 0.5), (1.0, 0.5))
_RIGHT = both(_SHAFT, _HEAD)
_LEFT = both(_SHAFT, _TAIL)
_DOUBLE = both(line((0.0, 0.4), (0.92, 0.4)), line((0.0, 0.6), (0.92, 0.6)))
_DOUBLE_HEAD = line((0.72, 0.15), (1.02, 0.5), (0.72, 0.85))
_WAVE = curve((0, 0.6), (0.22, 0.42), (0.5, 0.52), (0.75, 0.62), (1, 0.42))
_CUP = curve((0, 0), (0.02, 0.6), (0.35, 1.0), (0.7, 0.6), (0.72, 0))
_SUB = curve((0.8, 0.0), (0.3, 0.05), (0.0, 0.45), (0.3, 0.9), (0.8, 0.95))
_LESS = line((0.8, 0), (0, 0.45), (0.8, 0.9))
_UNDER = line((0, 1.2), (0.8, 1.2))
_BRACE = curve((0.3, 0), (0.12, 0.08), (0.15, 0.4), (0.0, 0.5), (0.15, 0.6), (0.12, 0.92), (0.3, 1))
_WIDE_BRACE = curve(
    (0, 0.4),
    (0.06, 0.2),
    (0.25, 0.17),
    (1.0, 0.17),
    (1.2, 0.14),
    (1.25, -0.05),
    (1.3, 0.14),
    (1.5, 0.17),
    (2.25, 0.17),
    (2.44, 0.2),
    (2.5, 0.4),
)
_PEAKED_BRACE = line((0, 0.45), (0.1, 0.15), (1.1, 0.15), (1.25, -0.1), (1.4, 0.15), (2.4, 0.15), (2.5, 0.45))
_CIRCLE = ring(0.5, 0.5, 0.5)
_FLOOR = line((0, 0), (0, 1), (0.3, 1))
_CEIL = line((0.3, 0), (0, 0), (0, 1))
_TRIANGLE = line((0.45, 0), (0, 0.9), (0.9, 0.9), (0.45, 0))
_ARCH = both(line((0.1, 0), (0.1, 1)), line((0.75, 0), (0.75, 1)), line((0, 0), (0.9, 0)))
_INT = curve((0.6, 0.05), (0.45, -0.02), (0.35, 0.2), (0.3, 0.8), (0.2, 1.02), (0.03, 0.95))
_STAR = line((0.2, 1), (0.5, 0), (0.8, 1), (0, 0.38), (1, 0.38), (0.2, 1))


def _negated(part: Recipe) -> Recipe:
    return both(placed(part, (0, 0.1, 0.9, 0.9)), _SLASH)


def _circled(*parts: Recipe) -> Recipe:
    return both(_CIRCLE, *parts)


def _blackboard(letter: str, *second: Recipe) -> tuple[Recipe, ...]:
    """Double one stroke of a capital, far enough apart not to look bold."""
    return tuple(both(of(letter, (0, 0, 0.75, 1)), stroke) for stroke in second)


_OUTER, _INNER = line((-0.2, 0.0), (-0.2, 1.0)), line((0.22, 0.03), (0.22, 0.97))
_HOOKED = line((0.0, 0.0), (-0.2, 0.0), (-0.2, 1.0), (0.0, 1.0))
_CHORD = line((0.2, 0.12), (0.2, 0.88))
_BLACKBOARD: Mapping[str, tuple[Recipe, ...]] = {
    **dict.fromkeys("BDEFLPRKHMN", (_OUTER, _HOOKED, _INNER)),
    **dict.fromkeys("CGOQ", (_CHORD,)),
    "A": (line((0.5, 0.28), (0.22, 1.0)), line((0.25, 0.0), (-0.13, 1.0))),
    "I": (line((0.57, 0.0), (0.57, 1.0)),), "J": (line((0.75, 0.0), (0.75, 0.75)),), "T": (line((0.57, 0.0), (0.57, 1.0)),),
    "S": (curve((0.24, 0.12), (0.26, 0.28), (0.5, 0.42), (0.58, 0.6)),),
    "U": (line((0.2, 0.0), (0.2, 0.8)),), "V": (line((0.2, 0.0), (0.47, 0.72)), line((-0.2, 0.0), (0.25, 1.0))),
    "W": (line((-0.2, 0.0), (0.06, 1.0)),), "X": (line((0.22, 0.0), (0.97, 1.0)),),
    "Y": (line((0.2, 0.0), (0.46, 0.36)), line((-0.2, 0.0), (0.2, 0.5))), "Z": (line((0.95, 0.0), (0.2, 1.0)),),
}  # fmt: skip

DERIVATIONS: Mapping[str, tuple[Recipe, ...]] = {
    # Capitals that look like their small letters, or like other symbols
    **{capital: (of(capital.lower()),) for capital in "OUWZKJVXPCS"},
    "O": (of("o"), of("0"), stretched(_CIRCLE, 0.9)),
    "D": (both(line((0, 0), (0, 1)), curve((-0.08, 0.02), (0.4, 0.05), (0.7, 0.5), (0.4, 0.95), (-0.08, 1))),),
    "Q": (both(of("o", (0, 0, 0.8, 0.9)), line((0.45, 0.65), (0.9, 1.05))),
          both(of("0", (0, 0, 0.8, 0.95)), curve((0.4, 0.75), (0.6, 0.85), (0.9, 1.05)))),
    "J": (curve((0.5, 0), (0.5, 0.7), (0.3, 1), (0, 0.8)),
          both(line((0.15, 0), (0.85, 0)), curve((0.5, 0), (0.5, 0.75), (0.28, 1), (0, 0.8)))),
    "K": (both(line((0, 0), (0, 1)), line((0.65, 0), (0.02, 0.55), (0.7, 1))),
          both(line((0, 0), (0, 1)), line((0.65, 0), (0.05, 0.5)), line((0.15, 0.45), (0.7, 1)))),
    "U": (of("u"), curve((0, 0), (0.0, 0.6), (0.35, 1.0), (0.7, 0.6), (0.72, 0))),
    "W": (of("w"), line((0, 0), (0.25, 1), (0.5, 0.2), (0.75, 1), (1, 0))),
    "Z": (of("z"), line((0, 0), (0.7, 0), (0, 1), (0.75, 1)),
          both(line((0, 0), (0.7, 0), (0, 1), (0.75, 1)), line((0.15, 0.5), (0.6, 0.5)))),
    r"\Gamma": (line((0, 1), (0, 0), (0.65, 0)), both(line((0, 0), (0, 1)), line((0, 0), (0.65, 0.02))),
                both(line((0, 0), (0, 1)), line((0, 0), (0.65, 0.0), (0.65, 0.12)))),
    r"\Delta": (_TRIANGLE, both(line((0.45, 0), (0, 0.9)), line((0.45, 0), (0.9, 0.9)), line((0, 0.9), (0.9, 0.9)))),
    r"\nabla": (flipped(_TRIANGLE), flipped(of(r"\Delta")), line((0, 0), (0.9, 0), (0.45, 0.9), (0, 0))),
    r"\Lambda": (turned(of("V"), 180), line((0, 1), (0.4, 0), (0.8, 1))),
    r"\Theta": (both(ring(0.4, 0.5, 0.4, 1.25), line((0.15, 0.5), (0.65, 0.5))),
                both(of("0", (0, 0, 0.8, 1)), line((0.2, 0.5), (0.6, 0.5)))),
    r"\Pi": (_ARCH, line((0.1, 1), (0.1, 0), (0.75, 0), (0.75, 1))),
    r"\Sigma": (of(r"\sum"), line((0.7, 0.1), (0.68, 0), (0, 0), (0.4, 0.5), (0, 1), (0.7, 1))),
    r"\Xi": (both(line((0, 0), (0.8, 0)), line((0.12, 0.5), (0.68, 0.5)), line((0, 1), (0.8, 1))),
             both(line((0, 0.08), (0, 0), (0.8, 0), (0.8, 0.08)), line((0.12, 0.5), (0.68, 0.5)),
                  line((0, 0.92), (0, 1), (0.8, 1), (0.8, 0.92)))),
    r"\Phi": (of(r"\phi"), both(ring(0.4, 0.5, 0.38, 0.75), line((0.4, 0), (0.4, 1)),),
              both(ring(0.4, 0.5, 0.38, 0.75), line((0.4, 0), (0.4, 1)), line((0.2, 0), (0.6, 0)), line((0.2, 1), (0.6, 1)))),
    r"\Psi": (both(curve((0, 0.05), (0.05, 0.5), (0.4, 0.65), (0.75, 0.5), (0.8, 0.05)), line((0.4, 0), (0.4, 1))),
              both(curve((0, 0.05), (0.05, 0.5), (0.4, 0.65), (0.75, 0.5), (0.8, 0.05)), line((0.4, 0), (0.4, 1)),
                   line((0.2, 1), (0.6, 1)))),
    r"\Omega": (curve((0, 1), (0.28, 0.98), (0.05, 0.6), (0.1, 0.15), (0.45, 0), (0.8, 0.15), (0.85, 0.6), (0.62, 0.98), (0.9, 1)),),
    r"\Upsilon": (of("Y"), both(curve((0, 0.1), (0.15, 0), (0.35, 0.4), (0.4, 1)), curve((0.8, 0.1), (0.6, 0.02), (0.42, 0.4)))),
    # Letters
    r"\hbar": (both(of("h"), line((-0.1, 0.3), (0.4, 0.15))), both(of("h"), line((-0.12, 0.2), (0.35, 0.2)))),
    r"\ell": (curve((0, 0.8), (0.25, 0.55), (0.45, 0.2), (0.35, 0), (0.22, 0.2), (0.2, 0.8), (0.32, 1), (0.5, 0.85)),),
    r"\varpi": (both(of(r"\omega", (0, 0.15, 1, 0.7)), line((-0.05, 0.08), (1.05, 0.05))),),
    r"\varrho": (curve((0.3, 1.0), (0.05, 0.9), (0.0, 0.5), (0.2, 0.05), (0.55, 0.2), (0.45, 0.55), (0.08, 0.6)),),
    r"\varsigma": (curve((0.6, 0.1), (0.35, 0), (0.05, 0.3), (0.2, 0.6), (0.5, 0.75), (0.4, 1.05), (0.2, 1.0)),),
    r"\vartheta": (curve((0, 0.4), (0.15, 0.3), (0.2, 0.8), (0.45, 0.95), (0.6, 0.5), (0.5, 0.05), (0.3, 0.1), (0.35, 0.4), (0.8, 0.4)),),
    r"\varkappa": (of(r"\kappa"),),
    r"\imath": (of(r"\iota"), curve((0, 0.1), (0.15, 0), (0.15, 0.8), (0.3, 1), (0.4, 0.9))),
    r"\jmath": (curve((0.1, 0.1), (0.3, 0), (0.3, 0.8), (0.15, 1.1), (0, 1)),),
    r"\aleph": (both(line((0.05, 0), (0.75, 1)), curve((0.75, 0), (0.7, 0.3), (0.45, 0.55)), curve((0.3, 0.4), (0.05, 0.6), (0.1, 1))),
                both(line((0, 0), (0.8, 1)), line((0.75, 0), (0.55, 0.6)), line((0.25, 0.35), (0.05, 1)))),
    r"\beth": (line((0.05, 0.1), (0.6, 0.1), (0.62, 0.95), (0, 0.95), (0.85, 0.95)),),
    r"\wp": (curve((0, 0.5), (0.25, 0.3), (0.2, 1), (0.08, 1.05), (0.15, 0.8), (0.35, 0.35), (0.7, 0.3), (0.75, 0.65), (0.45, 0.75), (0.4, 0.5)),),
    r"\Re": (both(curve((0.1, 0.2), (0.3, 0), (0.3, 0.7), (0, 1)), curve((0.1, 0.3), (0.5, 0), (0.75, 0.2), (0.4, 0.45), (0.7, 0.9), (0.9, 0.9))),),
    r"\Im": (both(curve((0.0, 0.3), (0.1, 0.02), (0.4, 0.12), (0.7, 0.1), (0.85, 0.0)), curve((0.5, 0.14), (0.32, 0.35), (0.62, 0.6), (0.55, 0.9), (0.25, 1.0), (0, 0.8))),),
    r"\partial": (curve((0.15, 0.1), (0.45, 0.0), (0.65, 0.45), (0.45, 0.95), (0.12, 0.85), (0.15, 0.5), (0.5, 0.45), (0.62, 0.6)),),
    r"\epsilon": (curve((0.6, 0.05), (0.2, 0), (0.05, 0.25), (0.4, 0.48), (0.05, 0.7), (0.2, 1), (0.65, 0.92)),),
    r"\infty": (curve((0.5, 0.5), (0.2, 0.2), (0, 0.5), (0.2, 0.8), (0.5, 0.5), (0.8, 0.2), (1, 0.5), (0.8, 0.8), (0.5, 0.5)),),
    r"\emptyset": (both(of("0", (0, 0.1, 0.7, 0.9)), _SLASH), both(ring(0.45, 0.5, 0.38), _SLASH)),
    **{rf"\mathbb{{{letter}}}": _blackboard(letter, *second) for letter, second in _BLACKBOARD.items()},
    # Sets and logic
    r"\cup": (_CUP, of("U", (0, 0, 0.75, 0.9))),
    r"\cap": (flipped(_CUP), turned(of("U", (0, 0, 0.75, 0.9)), 180)),
    r"\bigcup": (stretched(_CUP, 1.05), of("U")), r"\bigcap": (flipped(stretched(_CUP, 1.05)), turned(of("U"), 180)),
    r"\uplus": (both(_CUP, line((0.15, 0.5), (0.58, 0.5)), line((0.36, 0.28), (0.36, 0.72))),),
    r"\biguplus": (both(_CUP, line((0.15, 0.5), (0.58, 0.5)), line((0.36, 0.28), (0.36, 0.72))),),
    r"\sqcup": (line((0, 0), (0, 0.9), (0.7, 0.9), (0.7, 0)),), r"\sqcap": (line((0, 0.9), (0, 0), (0.7, 0), (0.7, 0.9)),),
    r"\bigsqcup": (line((0, 0), (0, 1), (0.75, 1), (0.75, 0)),),
    r"\subset": (_SUB, of("C", (0, 0, 0.9, 0.9))), r"\supset": (mirrored(_SUB), mirrored(of("C", (0, 0, 0.9, 0.9)))),
    r"\subseteq": (both(_SUB, _UNDER), both(of("C", (0, 0, 0.85, 0.9)), _UNDER)),
    r"\supseteq": (mirrored(both(_SUB, _UNDER)), both(mirrored(of("C", (-0.85, 0, 0, 0.9))), _UNDER)),
    r"\subsetneq": (both(_SUB, _UNDER, line((0.25, 1.35), (0.55, 1.05))),),
    r"\supsetneq": (both(mirrored(_SUB), mirrored(_UNDER), line((-0.55, 1.35), (-0.25, 1.05))),),
    r"\nsubseteq": (both(_SUB, _UNDER, line((0.15, 1.3), (0.75, -0.1))),),
    r"\sqsubseteq": (both(line((0.8, 0), (0, 0), (0, 0.9), (0.8, 0.9)), _UNDER),),
    r"\in": (both(_SUB, line((0, 0.46), (0.7, 0.46))), curve((0.8, 0.0), (0.3, 0.05), (0.02, 0.45), (0.6, 0.46), (0.02, 0.5), (0.3, 0.92), (0.8, 0.95))),
    r"\ni": (mirrored(of(r"\in")), mirrored(both(_SUB, line((0, 0.46), (0.7, 0.46))))),
    r"\notin": (both(of(r"\in", (0, 0, 0.8, 0.9)), _SLASH), both(_SUB, line((0, 0.46), (0.7, 0.46)), line((0.15, 1.1), (0.75, -0.15)))),
    r"\not": (line((0, 1), (0.45, 0)),),
    r"\complement": (of("C"),),
    r"\backslash": (mirrored(of("/")), line((0, 0), (0.5, 1))),
    r"\vee": (of("v", (0, 0, 0.7, 0.8)), line((0, 0), (0.35, 0.85), (0.7, 0))),
    r"\wedge": (turned(of("v", (0, 0, 0.7, 0.8)), 180), line((0, 0.85), (0.35, 0), (0.7, 0.85))),
    r"\bigvee": (of("V"), line((0, 0), (0.42, 1), (0.85, 0))), r"\bigwedge": (turned(of("V"), 180), line((0, 1), (0.42, 0), (0.85, 1))),
    r"\neg": (line((0, 0), (0.7, 0), (0.7, 0.35)),),
    r"\forall": (flipped(of("A")), both(line((0, 0), (0.4, 1)), line((0.8, 0), (0.4, 1)), line((0.18, 0.45), (0.62, 0.45))),
                 both(line((0, 0), (0.4, 1), (0.8, 0)), line((0.18, 0.45), (0.62, 0.45)))),
    r"\exists": (mirrored(of("E")), both(line((0, 0), (0.6, 0), (0.6, 1), (0, 1)), line((0.08, 0.5), (0.6, 0.5)))),
    r"\nexists": (_negated(mirrored(of("E"))),),
    r"\models": (both(line((0, 0), (0, 1)), line((0, 0.38), (0.6, 0.38)), line((0, 0.64), (0.6, 0.64))),),
    r"\vDash": (both(line((0, 0), (0, 1)), line((0, 0.38), (0.5, 0.38)), line((0, 0.64), (0.5, 0.64))),),
    r"\vdash": (both(line((0, 0), (0, 1)), line((0, 0.5), (0.6, 0.5))), turned(of("T", (0, 0, 0.8, 0.7)), -90)),
    r"\dashv": (both(line((0.6, 0), (0.6, 1)), line((0, 0.5), (0.6, 0.5))),),
    r"\Vdash": (both(line((0, 0), (0, 1)), line((0.18, 0), (0.18, 1)), line((0.18, 0.5), (0.75, 0.5))),),
    r"\perp": (both(line((0.4, 0), (0.4, 0.9)), line((0, 0.9), (0.8, 0.9))), turned(of("T"), 180)),
    r"\bot": (both(line((0.4, 0), (0.4, 0.9)), line((0, 0.9), (0.8, 0.9))), turned(of("T"), 180)),
    r"\top": (both(line((0.4, 0), (0.4, 0.9)), line((0, 0), (0.8, 0))),),
    r"\therefore": (both(dot(0.3, 0), dot(0, 0.5), dot(0.6, 0.5)),), r"\because": (both(dot(0.3, 0.5), dot(0, 0), dot(0.6, 0)),),
    # Relations
    r"\ll": (both(of("<", (0, 0, 0.6, 0.8)), of("<", (0.4, 0, 1.0, 0.8))), both(placed(_LESS, (0, 0, 0.5, 0.8)), placed(_LESS, (0.4, 0, 0.95, 0.8)))),
    r"\gg": (both(of(">", (0, 0, 0.6, 0.8)), of(">", (0.4, 0, 1.0, 0.8))), mirrored(both(placed(_LESS, (0, 0, 0.5, 0.8)), placed(_LESS, (0.4, 0, 0.95, 0.8))))),
    r"\le": (both(_LESS, line((0.05, 1.1), (0.85, 1.1))),), r"\ge": (both(mirrored(_LESS), line((-0.85, 1.1), (-0.05, 1.1))),),
    r"\prec": (curve((0.8, 0), (0.6, 0.3), (0, 0.45), (0.6, 0.6), (0.8, 0.9)),), r"\succ": (mirrored(curve((0.8, 0), (0.6, 0.3), (0, 0.45), (0.6, 0.6), (0.8, 0.9))),),
    r"\preceq": (both(curve((0.8, 0), (0.6, 0.3), (0, 0.45), (0.6, 0.6), (0.8, 0.9)), line((0, 1.1), (0.8, 1.1))),),
    r"\succeq": (mirrored(both(curve((0.8, 0), (0.6, 0.3), (0, 0.45), (0.6, 0.6), (0.8, 0.9)), line((0, 1.1), (0.8, 1.1)))),),
    r"\sim": (_WAVE,), r"\simeq": (both(_WAVE, line((0, 0.85), (1, 0.85))),),
    r"\approx": (both(placed(_WAVE, (0, 0.2, 1, 0.38)), placed(_WAVE, (0, 0.62, 1, 0.8))),),
    r"\cong": (both(placed(_WAVE, (0, 0.0, 1, 0.22)), line((0, 0.5), (1, 0.5)), line((0, 0.8), (1, 0.8))),),
    r"\approxeq": (both(placed(_WAVE, (0, 0.0, 1, 0.18)), placed(_WAVE, (0, 0.4, 1, 0.58)), line((0, 0.9), (1, 0.9))),),
    r"\equiv": (both(line((0, 0), (0.9, 0)), line((0, 0.3), (0.9, 0.3)), line((0, 0.6), (0.9, 0.6))),),
    r"\triangleq": (both(line((0, 0.6), (0.9, 0.6)), line((0, 0.9), (0.9, 0.9)), placed(_TRIANGLE, (0.25, 0, 0.65, 0.4))),),
    r"\doteq": (both(dot(0.45, 0), line((0, 0.35), (0.9, 0.35)), line((0, 0.65), (0.9, 0.65))),),
    r"\asymp": (both(curve((0, 0), (0.45, 0.22), (0.9, 0)), curve((0, 0.8), (0.45, 0.58), (0.9, 0.8))),),
    r"\ne": (both(line((0, 0.35), (0.9, 0.35)), line((0, 0.65), (0.9, 0.65)), _SLASH),),
    r"\propto": (curve((1, 0.05), (0.75, 0.2), (0.45, 0.65), (0.2, 0.7), (0.05, 0.4), (0.2, 0.1), (0.45, 0.15), (0.75, 0.6), (1, 0.72)), of(r"\alpha", (0, 0, 1, 0.7))),
    r"\nmid": (both(line((0.3, 0), (0.3, 1)), line((0.05, 0.65), (0.55, 0.35))),),
    r"\smile": (curve((0, 0), (0.45, 0.3), (0.9, 0)),), r"\frown": (curve((0, 0.3), (0.45, 0), (0.9, 0.3)),),
    r"\bowtie": (line((0, 0), (0, 0.8), (1, 0), (1, 0.8), (0, 0)),),
    r"\lesssim": (both(placed(_LESS, (0, 0, 0.8, 0.6)), placed(_WAVE, (0, 0.85, 0.85, 1.05))),),
    r"\gtrsim": (both(placed(mirrored(_LESS), (0, 0, 0.8, 0.6)), placed(_WAVE, (0, 0.85, 0.85, 1.05))),),
    # Arrows
    r"\rightarrow": (_RIGHT,), r"\leftarrow": (_LEFT, mirrored(of(r"\rightarrow"))),
    r"\leftrightarrow": (both(_SHAFT, _HEAD, _TAIL),),
    r"\longrightarrow": (stretched(_RIGHT, 1.7), stretched(_RIGHT, 2.3), stretched(of(r"\rightarrow"), 1.8)),
    r"\longleftarrow": (stretched(_LEFT, 1.7), mirrored(stretched(of(r"\rightarrow"), 1.6))),
    r"\longleftrightarrow": (stretched(both(_SHAFT, _HEAD, _TAIL), 1.7),),
    r"\uparrow": (turned(_RIGHT, -90), turned(of(r"\rightarrow"), -90)), r"\downarrow": (turned(_RIGHT, 90), turned(of(r"\rightarrow"), 90)),
    r"\updownarrow": (turned(both(_SHAFT, _HEAD, _TAIL), 90),),
    r"\nearrow": (turned(_RIGHT, -45),), r"\searrow": (turned(_RIGHT, 45),), r"\swarrow": (turned(_RIGHT, 135),), r"\nwarrow": (turned(_RIGHT, -135),),
    r"\Rightarrow": (both(_DOUBLE, _DOUBLE_HEAD),), r"\Leftarrow": (mirrored(both(_DOUBLE, _DOUBLE_HEAD)),),
    r"\Leftrightarrow": (both(line((0.1, 0.4), (1.0, 0.4)), line((0.1, 0.6), (1.0, 0.6)), placed(_DOUBLE_HEAD, (0.82, 0.15, 1.1, 0.85)), placed(mirrored(_DOUBLE_HEAD), (0, 0.15, 0.28, 0.85))),),
    r"\iff": (both(line((0.1, 0.4), (1.5, 0.4)), line((0.1, 0.6), (1.5, 0.6)), placed(_DOUBLE_HEAD, (1.32, 0.15, 1.6, 0.85)), placed(mirrored(_DOUBLE_HEAD), (0, 0.15, 0.28, 0.85))),),
    r"\Longrightarrow": (stretched(both(_DOUBLE, _DOUBLE_HEAD), 1.6),), r"\Longleftarrow": (mirrored(stretched(both(_DOUBLE, _DOUBLE_HEAD), 1.6)),),
    r"\mapsto": (both(line((0, 0.3), (0, 0.7)), _RIGHT), both(line((0, 0.3), (0, 0.7)), of(r"\rightarrow", (0, 0.3, 1, 0.7)))),
    r"\longmapsto": (stretched(both(line((0, 0.3), (0, 0.7)), _RIGHT), 1.7),),
    r"\hookrightarrow": (both(curve((0.15, 0.2), (0.0, 0.25), (0.02, 0.48), (0.2, 0.5), (1.0, 0.5)), _HEAD),),
    r"\hookleftarrow": (mirrored(both(curve((0.15, 0.2), (0.0, 0.25), (0.02, 0.48), (0.2, 0.5), (1.0, 0.5)), _HEAD)),),
    r"\rightharpoonup": (line((0, 0.5), (1, 0.5), (0.75, 0.3)),),
    r"\rightleftharpoons": (both(line((0, 0.4), (1, 0.4), (0.75, 0.2)), line((1, 0.62), (0, 0.62), (0.25, 0.82))),),
    r"\rightleftarrows": (both(placed(_RIGHT, (0, 0, 1, 0.35)), placed(_LEFT, (0, 0.5, 1, 0.85))),),
    r"\rightsquigarrow": (both(curve((0, 0.5), (0.15, 0.38), (0.3, 0.6), (0.45, 0.4), (0.6, 0.6), (0.75, 0.5), (1, 0.5)), _HEAD),),
    r"\twoheadrightarrow": (both(_RIGHT, line((0.55, 0.3), (0.8, 0.5), (0.55, 0.7))),),
    r"\nrightarrow": (both(_RIGHT, line((0.3, 0.75), (0.55, 0.25))),),
    # Operators
    r"\mp": (flipped(of(r"\pm")), both(line((0, 0), (0.8, 0)), line((0, 0.6), (0.8, 0.6)), line((0.4, 0.2), (0.4, 1.0)))),
    r"\circ": (ring(0.3, 0.3, 0.3), of("o")), r"\bullet": (blob(0.2, 0.2, 0.2), blob(0.15, 0.15, 0.14)),
    r"\bigcirc": (_CIRCLE,), r"\cdot": (dot(0, 0), of(".")),
    r"\odot": (_circled(dot(0.5, 0.5)), _circled(blob(0.5, 0.5, 0.08))),
    r"\oplus": (_circled(line((0.05, 0.5), (0.95, 0.5)), line((0.5, 0.05), (0.5, 0.95))), _circled(of("+", (0.15, 0.15, 0.85, 0.85)))),
    r"\ominus": (_circled(line((0.08, 0.5), (0.92, 0.5))), _circled(line((0.2, 0.5), (0.8, 0.5)))),
    r"\otimes": (_circled(line((0.15, 0.15), (0.85, 0.85)), line((0.85, 0.15), (0.15, 0.85))), _circled(of(r"\times", (0.2, 0.2, 0.8, 0.8)))),
    r"\oslash": (_circled(line((0.2, 0.85), (0.8, 0.15))),),
    r"\bigoplus": (_circled(line((0.02, 0.5), (0.98, 0.5)), line((0.5, 0.02), (0.5, 0.98))),),
    r"\bigotimes": (_circled(line((0.15, 0.15), (0.85, 0.85)), line((0.85, 0.15), (0.15, 0.85))),), r"\bigodot": (_circled(dot(0.5, 0.5, 0.06)),),
    r"\ast": (both(line((0.3, 0), (0.3, 0.6)), line((0, 0.15), (0.6, 0.45)), line((0.6, 0.15), (0, 0.45))),),
    "*": (both(line((0.3, 0), (0.3, 0.6)), line((0, 0.15), (0.6, 0.45)), line((0.6, 0.15), (0, 0.45))),
          both(line((0.3, 0), (0.3, 0.6)), line((0, 0.3), (0.6, 0.3)), line((0.1, 0.1), (0.5, 0.5)), line((0.5, 0.1), (0.1, 0.5)))),
    r"\star": (_STAR,), r"\diamond": (line((0.35, 0), (0, 0.4), (0.35, 0.8), (0.7, 0.4), (0.35, 0)),), r"\lozenge": (line((0.3, 0), (0, 0.5), (0.3, 1), (0.6, 0.5), (0.3, 0)),),
    r"\dagger": (both(line((0.3, 0), (0.3, 1)), line((0, 0.28), (0.6, 0.28))),), r"\ddagger": (both(line((0.3, 0), (0.3, 1)), line((0, 0.25), (0.6, 0.25)), line((0, 0.72), (0.6, 0.72))),),
    r"\triangle": (_TRIANGLE,), r"\bigtriangleup": (_TRIANGLE,), r"\bigtriangledown": (flipped(_TRIANGLE),),
    r"\triangleleft": (line((0.7, 0), (0, 0.4), (0.7, 0.8), (0.7, 0)),), r"\triangleright": (line((0, 0), (0.7, 0.4), (0, 0.8), (0, 0)),),
    r"\square": (line((0, 0), (0, 0.8), (0.8, 0.8), (0.8, 0), (0, 0)),), r"\blacksquare": (both(line((0, 0), (0, 0.7), (0.7, 0.7), (0.7, 0), (0, 0)), line((0.1, 0.1), (0.6, 0.2), (0.1, 0.3), (0.6, 0.4), (0.1, 0.5), (0.6, 0.6))),),
    r"\rtimes": (both(line((0, 0), (0.7, 0.7), (0.7, 0), (0, 0.7))),), r"\ltimes": (both(line((0.7, 0), (0, 0.7), (0, 0), (0.7, 0.7))),),
    r"\amalg": (flipped(_ARCH),), r"\wr": (curve((0.2, 0), (0, 0.3), (0.2, 0.6), (0, 1)),),
    r"\div": (both(line((0, 0.4), (0.8, 0.4)), dot(0.4, 0.05), dot(0.4, 0.75)),),
    # Large operators
    r"\prod": (_ARCH, stretched(_ARCH, 0.9), both(line((0.1, 0), (0.1, 1)), line((0.75, 0), (0.75, 1)), line((0, 0), (0.9, 0)), line((0, 1), (0.22, 1)), line((0.63, 1), (0.87, 1))), line((0.1, 1), (0.1, 0), (0.75, 0), (0.75, 1))),
    r"\coprod": (flipped(_ARCH), line((0.1, 0), (0.1, 1), (0.75, 1), (0.75, 0))),
    r"\iint": (both(of(r"\int", (0, 0, 0.33, 1)), of(r"\int", (0.36, 0, 0.69, 1))),
               both(placed(_INT, (0, 0, 0.4, 1)), placed(_INT, (0.36, 0, 0.76, 1)))),
    r"\iiint": (both(of(r"\int", (0, 0, 0.3, 1)), of(r"\int", (0.32, 0, 0.62, 1)), of(r"\int", (0.64, 0, 0.94, 1))),),
    r"\oint": (both(of(r"\int", (0, 0, 0.45, 1)), ring(0.22, 0.5, 0.14)), both(of(r"\int", (0, 0, 0.4, 1)), ring(0.2, 0.5, 0.22, 0.8)),
               both(_INT, ring(0.31, 0.5, 0.17))),
    # Brackets and dots
    r"\langle": (line((0.35, 0), (0, 0.5), (0.35, 1)), of("<", (0, 0, 0.35, 1))), r"\rangle": (line((0, 0), (0.35, 0.5), (0, 1)), of(">", (0, 0, 0.35, 1))),
    r"\lfloor": (_FLOOR,), r"\rfloor": (mirrored(_FLOOR),), r"\lceil": (_CEIL,), r"\rceil": (mirrored(_CEIL),),
    r"\ulcorner": (line((0.3, 0), (0, 0), (0, 0.4)),), r"\urcorner": (line((0, 0), (0.3, 0), (0.3, 0.4)),),
    r"\{": (_BRACE,), r"\}": (mirrored(_BRACE),),
    ":": (both(dot(0, 0), dot(0.02, 0.5)), both(of(".", (0, 0, 0.06, 0.06)), of(".", (0, 0.5, 0.06, 0.56)))),
    ";": (both(dot(0, 0), curve((0.03, 0.45), (0.06, 0.55), (-0.06, 0.75))), both(dot(0.0, 0), of(",", (-0.08, 0.4, 0.08, 0.7)))),
    "?": (both(curve((0, 0.2), (0.15, 0), (0.45, 0.1), (0.35, 0.4), (0.2, 0.55), (0.2, 0.7)), dot(0.2, 0.97)),),
    "!": (both(line((0, 0), (0, 0.7)), dot(0, 0.97)),),
    r"\vdots": (both(dot(0, 0), dot(0, 0.35), dot(0, 0.7)),), r"\ddots": (both(dot(0, 0), dot(0.4, 0.35), dot(0.8, 0.7)),),
    r"\%": (both(ring(0.17, 0.22, 0.17), ring(0.75, 0.8, 0.17), line((0.7, 0), (0.2, 1))),),
    r"\&": (curve((0.8, 0.95), (0.2, 0.3), (0.25, 0), (0.5, 0.15), (0.1, 0.6), (0.15, 0.95), (0.5, 0.95), (0.75, 0.55)),
            both(curve((0.55, 0.2), (0.3, 0.05), (0.1, 0.25), (0.35, 0.45), (0.05, 0.7), (0.3, 0.95), (0.6, 0.8)), line((0.33, -0.05), (0.33, 1.05)))),
    r"\#": (both(line((0.3, 0), (0.2, 1)), line((0.65, 0), (0.55, 1)), line((0, 0.33), (0.9, 0.33)), line((0, 0.67), (0.9, 0.67))),),
    r"\$": (both(of("S", (0, 0.1, 0.6, 0.9)), line((0.3, 0), (0.3, 1))),), r"\_": (line((0, 0), (0.6, 0)),),
    "@": (both(of("a", (0.25, 0.3, 0.65, 0.7)), curve((0.65, 0.7), (0.95, 0.6), (0.8, 0.1), (0.3, 0.05), (0.0, 0.5), (0.3, 1), (0.8, 0.95))),),
    '"': (both(line((0, 0), (0, 0.3)), line((0.18, 0), (0.18, 0.3))),), "`": (line((0, 0), (0.15, 0.25)),),
    r"\prime": (line((0.15, 0), (0, 0.4)), line((0.04, 0), (0, 0.4))),
    r"\angle": (line((0.7, 0), (0, 0.7), (0.85, 0.7)),),
    r"\surd": (line((0, 0.6), (0.15, 0.5), (0.35, 1), (0.7, 0)),), r"\checkmark": (curve((0, 0.6), (0.25, 1), (0.8, 0)),),
    r"\flat": (both(line((0, 0), (0, 1)), curve((0, 0.6), (0.35, 0.5), (0.3, 0.75), (0, 1))),), r"\sharp": (of(r"\#"),),
    r"\natural": (both(line((0, 0), (0, 0.75), (0.35, 0.65)), line((0.0, 0.4), (0.35, 0.3), (0.35, 1))),),
    r"\pounds": (both(curve((0.65, 0.15), (0.4, 0), (0.25, 0.25), (0.3, 0.7), (0.05, 1), (0.7, 0.95)), line((0.1, 0.5), (0.5, 0.5))),),
    # Marks of accents: as wide as they are high here; layout sets their width
    r"\hat": (line((0, 0.45), (0.5, 0), (1, 0.45)), curve((0, 0.4), (0.45, 0.02), (0.55, 0.02), (1, 0.4))),
    r"\check": (line((0, 0), (0.5, 0.45), (1, 0)),), r"\breve": (curve((0, 0), (0.5, 0.4), (1, 0)),),
    r"\tilde": (placed(_WAVE, (0, 0, 1, 0.3)), placed(_WAVE, (0, 0, 1, 0.22)), curve((0, 0.3), (0.1, 0.05), (0.35, 0.05), (0.65, 0.3), (0.9, 0.25), (1, 0))),
    r"\vec": (both(line((0, 0.5), (1, 0.5)), line((0.72, 0.3), (1, 0.5), (0.75, 0.7))), line((0, 0.5), (1, 0.5), (0.72, 0.25)), both(line((0, 0.5), (1, 0.48)), line((0.7, 0.25), (1, 0.48), (0.8, 0.72)))),
    r"\overleftarrow": (both(line((0, 0.5), (1, 0.5)), line((0.28, 0.3), (0, 0.5), (0.28, 0.7))),),
    r"\overleftrightarrow": (both(line((0, 0.5), (1, 0.5)), line((0.28, 0.3), (0, 0.5), (0.28, 0.7)), line((0.72, 0.3), (1, 0.5), (0.72, 0.7))),),
    r"\overline": (line((0, 0), (1, 0)), of("-", (0, 0, 1, 0.05))), r"\underline": (line((0, 0), (1, 0)), of("-", (0, 0, 1, 0.05))),
    r"\dot": (dot(0, 0, 0.25),), r"\ddot": (both(dot(0, 0, 0.12), dot(0.8, 0, 0.12)),), r"\dddot": (both(dot(0, 0, 0.1), dot(0.45, 0, 0.1), dot(0.9, 0, 0.1)),),
    r"\acute": (line((0, 0.6), (0.4, 0)),), r"\grave": (line((0, 0), (0.4, 0.6)),), r"\mathring": (ring(0.5, 0.5, 0.5),),
    r"\overbrace": (_WIDE_BRACE, _PEAKED_BRACE, turned(of(r"\{", (0, 0, 0.3, 1.5)), 90)),
    r"\underbrace": (flipped(_WIDE_BRACE), flipped(_PEAKED_BRACE), turned(of(r"\{", (0, 0, 0.3, 1.5)), -90)),
    r"\xrightarrow": (stretched(_RIGHT, 1.5),), r"\xleftarrow": (stretched(_LEFT, 1.5),),
}  # fmt: skip


def derived_samples(bank: SymbolBank, rng: np.random.Generator) -> Iterator[tuple[str, Sample]]:
    """Return samples of each class of the table, fewer for classes with many writers.

    Letters come first, since other classes are made of them. Recipes that need a symbol that nobody has are
    left out.
    """
    letters = {token for token in DERIVATIONS if len(token) == 1}
    first = list(_derived(letters, Pen(bank, rng)))
    yield from first
    written = [(token, sample) for token in bank.tokens for sample in bank.all(token)]
    yield from _derived(DERIVATIONS.keys() - letters, Pen(SymbolBank([*written, *first]), rng))


def _derived(tokens: Iterable[str], pen: Pen) -> Iterator[tuple[str, Sample]]:
    for token in sorted(tokens):
        recipes = DERIVATIONS[token]
        wanted = max(0, _SAMPLES - _SAMPLES * pen.bank.count(token) // _HANDS)
        for number in range(wanted):
            try:
                strokes = recipes[number % len(recipes)](pen)
            except MissingSymbolError:
                continue
            yield token, Sample(warped(strokes, 0.04, pen.rng), "derived", str(number))
