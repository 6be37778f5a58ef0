"""Which colour of a picture shows its ink, and least of the lines on its paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.recognizer.ruling import Line

Colours = npt.NDArray[np.uint8]  # (height, width, 3), red first
Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]  # rows, columns

_BETTER = 0.8  # of the lines' contrast is left, at most, in a colour that is worth the change
_ENOUGH = 0.5  # of the best contrast that ink has in any colour, at least
_LUMINANCE = np.array([0.299, 0.587, 0.114])


def clearest_colour(colours: Colours, lines: Sequence[Places], ink: Places) -> int | None:
    """The channel in which lines are faint and ink is not; None: brightness is as good.

    `lines`: pixels along each direction's lines; `ink`: pixels of the ink.
    """
    rows, columns = (np.concatenate(parts) for parts in zip(*lines, strict=True))
    if not len(rows) or not len(ink[0]):
        return None
    height, width = colours.shape[:2]
    around = np.arange(-9, 10)[:, None]
    # Across a line: its own colour is the darkest, the paper's the median.
    across = np.concatenate(
        [
            colours[(rows + around).clip(0, height - 1), columns],
            colours[rows, (columns + around).clip(0, width - 1)],
        ],
        axis=0,
    )
    paper = np.median(across, axis=(0, 1)) + 1.0
    near = colours[(rows + np.arange(-1, 2)[:, None]).clip(0, height - 1), columns].astype(np.int32)
    darkest = np.take_along_axis(near, (near @ _LUMINANCE).argmin(axis=0)[None, :, None], axis=0)[0]
    line = np.median(darkest, axis=0)
    written = np.percentile(colours[ink], 25, axis=0)
    of_line, of_ink = (1 - _with_luminance(tone) / _with_luminance(paper) for tone in (line, written))
    share = np.where(of_ink > _ENOUGH * of_ink.max(), of_line / np.maximum(of_ink, 1e-6), np.inf)
    best = int(np.argmin(share[:3]))
    return best if share[best] < _BETTER * max(of_line[3] / max(of_ink[3], 1e-6), 1e-6) else None


def _with_luminance(tone: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.append(tone, tone @ _LUMINANCE)


def line_places(lines: Sequence[Line], upright: bool, left: float, top: float, scale: int) -> Places:
    """Pixels along lines, on a picture that is `scale` times as large as the one that they were found on."""
    rows, columns = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for line in lines:
        along = np.linspace(line.along[0], line.along[-1], 50)[1:-1]
        x, y = along + (top if upright else left), line.at(along) + (left if upright else top)
        places = [np.rint((side + 0.5) * scale - 0.5).astype(np.intp) for side in (x, y)]
        columns.append(places[upright])
        rows.append(places[1 - upright])
    return np.concatenate(rows), np.concatenate(columns)
