"""What ink is: strokes of a pen, with what is known about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Stroke = npt.NDArray[np.float32]  # (points, 2): x to the right, y downwards, any unit


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
