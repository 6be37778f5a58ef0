"""From the text of traces to strokes: values to coordinates, contexts to one page, traces to whole strokes.

The numbers of all plain traces are converted at once: for speed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from components.ink.ink import InkError, Stroke, to_strokes
from components.ink.inkml_context import Context
from components.ink.inkml_mapping import IDENTITY
from components.ink.inkml_values import MAX_CODED, MAX_POINTS, plain_words, points

_CODED = re.compile(r"['\"!#]")  # orders and hexadecimal numbers need the whole grammar

Made = tuple[tuple[Stroke, ...], tuple[float, float], list[int]]


class Segments:
    """Pieces of pen-down ink, in the order in which they are added."""

    def __init__(self, plain: bool = True) -> None:
        """`plain`: traces may be converted without the whole grammar where they look so."""
        self._plain = plain
        self._xs: list[str | float] = []
        self._ys: list[str | float] = []
        self._starts: list[int] = []
        self._contexts: list[Context] = []
        self._joined: dict[int, int] = {}  # to the segment that it goes on from
        self._coded = 0
        self._lone: dict[int, str] = {}  # traces without commas, by how many values they have
        self._widths: set[int] = set()  # of traces with commas

    def add(
        self, text: str, name: Callable[[], str], context: Context, prior: int | None = None
    ) -> list[int]:
        """Adds a trace; returns its segments' indices. Raises InkError."""
        if text.count(",") > MAX_POINTS:  # before anything is made of them
            raise InkError(f"there are more than {MAX_POINTS} points")
        plain = self._plain and text.isascii() and "_" not in text  # Python's numbers may have both
        plain = plain and _CODED.search(text) is None
        words = plain_words(text, context.format) if plain else None
        if words is None:
            return self._add_coded(text, name(), context, prior)
        if not words.words:
            return []
        values, step, format = words.words, words.step, context.format
        if step > 4 and words.width > format.regular + format.intermittent:
            self._note_width(words.width, "," in values, name)
        return [self._append(values[format.x :: step], values[format.y :: step], context, prior)]

    def add_part(self, text: str, name: str, context: Context, first: int, last: int) -> None:
        """Adds some points of a trace, as its own segments; both ends count from 1. Raises InkError."""
        for xs, ys in self._points(text, name, context, first, last):
            self._append(xs, ys, context, None)

    def strokes(self) -> Made:
        """The strokes, their origin, and which stroke each segment belongs to.

        Raises InkError, and ValueError if a trace that looked plain is not.
        """
        if not self._starts:
            raise InkError("there is no trace with a point")
        for width, name in self._lone.items():
            if width not in self._widths:
                raise InkError(
                    f"trace {name} has {width} values and no comma: put commas between points, or declare "
                    "the channels in a <traceFormat>"
                )
        both = np.array([np.array(self._xs, np.float64), np.array(self._ys, np.float64)], np.float64)
        on_page, origin = to_strokes(self._on_page(both.T))
        ends = [*self._starts[1:], len(on_page)]
        if self._joined:
            pieces = [on_page[i:j] for i, j in zip(self._starts, ends, strict=True)]
            return self._connected(pieces, origin)
        moved = np.empty(len(on_page), bool)
        moved[1:] = (on_page[1:] != on_page[:-1]).any(axis=1)
        moved[self._starts] = True
        strokes = tuple(on_page[i:j][moved[i:j]] for i, j in zip(self._starts, ends, strict=True))
        return strokes, origin, list(range(len(strokes)))

    def _add_coded(self, text: str, name: str, context: Context, prior: int | None) -> list[int]:
        added = []
        for xs, ys in self._points(text, name, context):
            added.append(self._append(xs, ys, context, prior))
            prior = None
        return added

    def _points(
        self, text: str, name: str, context: Context, first: int = 1, last: int = MAX_POINTS
    ) -> list[tuple[list[float], list[float]]]:
        self._coded += text.count(",") + 1
        if self._coded > MAX_CODED:
            raise InkError(f"there are more than {MAX_CODED} points that are not plain numbers")
        return points(text, context.format, name, first, last)

    def _append(
        self, xs: list[str] | list[float], ys: list[str] | list[float], context: Context, prior: int | None
    ) -> int:
        index = len(self._starts)
        self._starts.append(len(self._xs))
        self._xs += xs
        self._ys += ys
        self._contexts.append(context)
        if prior is not None:
            self._joined[index] = prior
        if len(self._xs) > MAX_POINTS:
            raise InkError(f"there are more than {MAX_POINTS} points")
        return index

    def _note_width(self, width: int, commas: bool, name: Callable[[], str]) -> None:
        if commas:
            self._widths.add(width)
        else:
            self._lone.setdefault(width, name())

    def _on_page(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Where the values lie on the page, in the units of the first context."""
        kinds = dict.fromkeys(self._contexts)
        first = next(iter(kinds))
        if len(kinds) == 1 and first.matrix == IDENTITY:
            return values
        factors = {context: _factor(context, first) for context in kinds}
        on_page = np.empty_like(values)
        ends = [*self._starts[1:], len(values)]
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not finite, and refused
            for context, i, j in zip(self._contexts, self._starts, ends, strict=True):
                matrix = np.array(context.matrix) * factors[context]
                # 0.0: no negative zero
                on_page[i:j] = values[i:j] @ matrix[:, :2].T + matrix[:, 2] + 0.0
        return on_page

    def _connected(self, pieces: list[Stroke], origin: tuple[float, float]) -> Made:
        """Strokes of which some consist of several traces."""
        strokes: list[list[Stroke]] = []
        stroke_of: list[int] = []
        for segment, piece in enumerate(pieces):
            if (prior := self._joined.get(segment)) is None:
                stroke_of.append(len(strokes))
                strokes.append([piece])
            else:
                stroke_of.append(stroke_of[prior])
                strokes[stroke_of[prior]].append(piece)
        return tuple(_without_repeats(np.concatenate(parts)) for parts in strokes), origin, stroke_of


def _without_repeats(stroke: Stroke) -> Stroke:
    moved = np.ones(len(stroke), bool)
    moved[1:] = (stroke[1:] != stroke[:-1]).any(axis=1)
    return stroke[moved]


def _factor(context: Context, first: Context) -> float:
    """The length of a context's unit in those of the first. Raises InkError if it is not known."""
    if context.anchors != first.anchors:
        raise InkError(
            "<channel respectTo>: X or Y of two traces refer to different origins, whose distance is not "
            "known: write all coordinates from one origin"
        )
    if context.scale == first.scale:
        return 1.0
    if context.scale is None or first.scale is None or context.scale.unit != first.scale.unit:
        raise InkError(
            "two traces have contexts whose units cannot be compared: give the channels of both the same "
            "units"
        )
    return context.scale.factor / first.scale.factor
