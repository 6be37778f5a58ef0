"""What ink is: strokes of a pen, with what is known about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FAR = 4096  # extents from the origin; from there on, float32 has less than 12 bits for the ink itself

_LARGEST = float(np.finfo(np.float32).max) * (1 + 2**-25)  # what float32 rounds down to its largest

Stroke = npt.NDArray[np.float32]  # (points, 2): x to the right, y downwards, any unit


class InkError(ValueError):
    """The data are no usable ink. The message gives the reason, without the file's name."""


@dataclass(frozen=True)
class Symbol:
    """One written symbol: its LaTeX token and the strokes that it consists of."""

    token: str
    strokes: tuple[int, ...]  # indices into Ink.strokes


@dataclass(frozen=True, eq=False)
class Ink:
    """One handwritten formula.

    A stroke is what the pen writes between touching the paper and leaving it; a single point is a dot.
    When the pen was where (time) is not kept: a picture cannot show it, and most collections lack it.
    """

    id: str
    strokes: tuple[Stroke, ...]  # none is empty
    label: str | None = None  # LaTeX as the source has it; `latex.normalizer` makes it canonical
    writer: str | None = None
    symbols: tuple[Symbol, ...] = ()  # in label order where the source is; () where it does not say
    mathml: str | None = None  # the label as MathML, if the source has no other; see `latex.mathml`
    origin: tuple[float, float] = (0.0, 0.0)  # of the strokes' coordinates, in the source's coordinates


def to_strokes(points: npt.NDArray[np.float64]) -> tuple[Stroke, tuple[float, float]]:
    """Converts coordinates to float32. Returns them, and the origin that was subtracted.

    Nothing is subtracted unless float32 cannot hold the ink's detail: a million units from the origin it
    rounds to sixteenths, a thousand million units away to 64 units. Raises InkError for a coordinate that is
    not finite.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    far = float(max(-low.min(), high.max()))
    if not far <= _LARGEST:  # or not a number
        raise InkError("a coordinate is not a finite number of float32's range")
    strokes = points.astype(np.float32)
    if 0 < _FAR * float((high - low).max()) < far and not np.array_equal(strokes, points):
        return (points - low).astype(np.float32), (float(low[0]), float(low[1]))
    return strokes, (0.0, 0.0)
