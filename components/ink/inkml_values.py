"""The grammar of a trace's values (InkML 3.2.1): text to the points' X and Y.

    trace ::= point ("," point)*
    point ::= value+, optionally ":" before the intermittent channels' values
    value ::= difference_order? "-"? number | "T" | "F" | "*" | "?"

`!` explicit value, `'` first difference, `"` second difference; an order holds for its channel until the next
one. `*` repeats the channel's value, `?` says that there is none. White space is optional where a sign or an
order begins the next value.

Plain traces, which is nearly all, are split into words and converted together; see `plain_words`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from components.ink.ink import InkError

MAX_POINTS = 1_000_000  # a formula has some hundreds
MAX_CODED = 100_000  # of those, in traces that need the whole grammar, which takes longer

_TOKEN = re.compile(
    r" ?(?:([!'\"]?) ?([-+]?) ?(#[0-9A-Fa-f]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"|([*?TF:])|(\S))"
)
_MAX_POINT = 1000  # characters of one point
_EXTRA = 4  # values a point that are read although no traceFormat announces them: X, Y, force and time


@dataclass(frozen=True)
class Format:
    """Which of a point's values are X and Y: what the reader needs of a `<traceFormat>`."""

    x: int = 0
    y: int = 1
    regular: int = 2  # channels
    intermittent: int = 0
    tip: int | None = None  # channel S, true while the pen touches the paper
    declared: bool = False

    @property
    def widest(self) -> int:
        """The most values that a point may have."""
        if {self.x, self.y} == {0, 1}:
            return max(_EXTRA, self.regular + self.intermittent)
        return self.regular + self.intermittent

    @property
    def needed(self) -> int:
        """The fewest values that a point may have: files announce channels that their points lack."""
        return max(self.x, self.y) + 1


DEFAULT = Format()


@dataclass(frozen=True)
class Words:
    """A plain trace: words, commas among them."""

    words: list[str]
    step: int  # from one point's first value to the next one's

    @property
    def width(self) -> int:
        return self.step - 1


def plain_words(text: str, format: Format) -> Words | None:
    """Splits a trace whose points all have the same number of words. None if it is not that simple.

    X and Y come first; only they are converted, by the caller. What is no number then needs `points`.
    """
    if {format.x, format.y} != {0, 1} or format.tip is not None:
        return None
    words = text.strip(" \t\r\n,").replace(",", " , ").split()
    commas = words.count(",")
    width = words.index(",") if commas else len(words)
    whole = len(words) == (commas + 1) * (width + 1) - 1 and words[width :: width + 1].count(",") == commas
    if words and not (whole and 2 <= width <= format.widest):
        return None
    return Words(words, width + 1)


Segment = tuple[list[float], list[float]]  # xs and ys while the pen touches the paper


def points(text: str, format: Format, name: str, first: int = 1, last: int = MAX_POINTS) -> list[Segment]:
    """Reads a trace with the whole grammar, and gives its points from `first` to `last`, both counted from 1.

    One segment, or several if channel S says that the pen was lifted. Raises InkError, with the trace's name.
    """
    decoder = _Decoder(format, name, first, last)
    for point in " ".join(text.strip(" \t\r\n,").split()).split(","):
        if len(point) > _MAX_POINT:
            raise InkError(f"trace {name}: point {decoder.count + 1} is too long; commas go between points")
        for order, sign, number, symbol, other in _TOKEN.findall(point):
            if number:
                decoder.number(order, sign, number)
            elif other:
                where = f"trace {name}: point {decoder.count + 1}, {point.strip()[:40]!r}"
                raise InkError(f"{where}, has something that is not a number or another value of InkML")
            elif symbol == ":":
                decoder.colon()
            else:
                decoder.symbol(symbol)
        decoder.end_point()
    return [segment for segment in decoder.segments if segment[0]]


class _Channel:
    """The state of one coordinate: its last value, difference and order."""

    __slots__ = ("difference", "known", "name", "order", "trace", "value")

    def __init__(self, name: str, trace: str) -> None:
        self.name, self.trace = name, trace
        self.order, self.value, self.difference = "!", math.nan, 0.0
        self.known = False

    def number(self, order: str, number: float) -> None:
        if order:
            self.order = order
        if self.order == "!":
            self.difference = number - self.value if self.known else 0.0
            self.value, self.known = number, True
            return
        if not self.known:
            raise InkError(
                f"trace {self.trace}: {self.name} is a difference ({self.order}), but there is no value "
                "before it; write the first one absolutely"
            )
        self.difference = number if self.order == "'" else self.difference + number
        self.value += self.difference

    def symbol(self, symbol: str) -> bool:
        """Whether the channel has a value at this point."""
        if symbol == "*" and self.known:
            self.difference = 0.0
            return True
        if symbol == "?":
            self.known = False  # a difference to it would mean nothing
            return False
        what = "repeats a value, but there is none before it" if symbol == "*" else "is a truth value"
        raise InkError(f"trace {self.trace}: {self.name} is {symbol!r}, which {what}; write a number")


class _Decoder:
    """Values one after the other to points."""

    def __init__(self, format: Format, name: str, first: int, last: int) -> None:
        self.format, self.name = format, name
        self._first, self._last = first, last
        self.segments: list[Segment] = [([], [])]
        self.place = 0  # in the point
        self.count = 0  # points
        self._channels = {format.x: _Channel("X", name), format.y: _Channel("Y", name)}
        self._width = 0  # of the first point, if all must have it
        self._there = True  # X and Y have values at this point
        self._down = True

    def number(self, order: str, sign: str, text: str) -> None:
        channel = self._channels.get(self.place)
        if channel is not None:
            number = _number(text)
            channel.number(order, -number if sign == "-" else number)
        elif self.place == self.format.tip:
            self._down = _number(text) != 0
        self.place += 1

    def symbol(self, symbol: str) -> None:
        channel = self._channels.get(self.place)
        if channel is not None:
            self._there &= channel.symbol(symbol)
        elif self.place == self.format.tip and symbol in "TF":
            self._down = symbol == "T"
        self.place += 1

    def colon(self) -> None:
        if self.place != self.format.regular:
            raise InkError(
                f"trace {self.name}: {self.place} values before a colon, but traceFormat has "
                f"{self.format.regular} regular channels"
            )

    def end_point(self) -> None:
        self._check_width()
        if self._there and self._down and self._first <= self.count + 1 <= self._last:
            xs, ys = self.segments[-1]
            xs.append(self._channels[self.format.x].value)
            ys.append(self._channels[self.format.y].value)
        elif not self._down and self.segments[-1][0]:
            self.segments.append(([], []))
        self.place, self._there = 0, True
        self.count += 1

    def _check_width(self) -> None:
        format = self.format
        if not self.count:
            self._width = self.place
        optional = format.intermittent and self.place >= format.regular
        if format.needed <= self.place <= format.widest and (optional or self.place == self._width):
            return
        if not format.declared:
            raise InkError(
                f"trace {self.name}: point {self.count + 1} has {self.place} values; expected x y or x y t "
                "of every point, and commas between points"
            )
        raise InkError(
            f"trace {self.name}: point {self.count + 1} has {self.place} values, but traceFormat has "
            f"{format.regular} regular and {format.intermittent} intermittent channels, with X as value "
            f"{format.x + 1} and Y as value {format.y + 1} (commas go between points)"
        )


def _number(text: str) -> float:
    """The value of a number that `_TOKEN` found; infinite if it is too large, which `to_strokes` refuses."""
    if text[0] != "#":
        return float(text)
    return float(int(text[1:], 16)) if len(text) < 200 else math.inf
