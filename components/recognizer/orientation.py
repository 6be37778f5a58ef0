"""Which way up a picture is: the way in which the model is clearly surer of what it reads.

Only pictures are turned, never ink and nothing that the rasterizer drew; and only where the model doubts what
it reads upright, so that an ordinary picture costs nothing. A picture that is turned to its side is taller
than wide, since formulas are wider than tall; others are tried upside down alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.ink.raster import Box, Picture, Placement

Rotation = Literal[0, 90, 180, 270]  # degrees clockwise that a picture is turned by to be upright

DOUBTFUL = 0.5  # a reading with less confidence may be of a picture that is not upright
PROMISING = 0.3  # a turned picture is searched only if greedy decoding is surer of it
_SURE = 0.5  # confidence of a reading that a picture is turned for, at least
_MARGIN = 0.35  # that it exceeds the upright reading's by, at least


@dataclass(frozen=True, eq=False)
class Views:
    """What the model may read of a source."""

    picture: Picture  # the source as it is
    turnable: bool = False  # the source is a picture that may not be upright
    sideways: Picture | None = None  # the source turned by 270°, if it may lie on its side

    def turned(self) -> dict[Rotation, Picture]:
        """The source turned, for each rotation that it may need."""
        if not self.turnable:
            return {}
        pictures: dict[Rotation, Picture] = {180: _upside_down(self.picture)}
        if self.sideways is not None:
            pictures[90] = _upside_down(self.sideways)
            pictures[270] = self.sideways
        return pictures

    def view(self, rotated: Rotation = 0) -> Picture:
        """What the model reads where the source is turned by `rotated`."""
        return self.turned()[rotated] if rotated else self.picture


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared(Views):
    """Views of a source, and where they lie on it."""

    where: Placement
    sideways_where: Placement | None = None  # of `sideways`, on the source turned by 270°,
    right: float = 0.0  # which begins at this place of the source

    def back(self, box: Box, rotated: Rotation = 0) -> Box:
        """A box of `view(rotated)`, in the source's coordinates."""
        flipped = _flipped(box, self.view(rotated)) if rotated in (90, 180) else box
        if rotated in (0, 180):
            return self.where.back(flipped)
        if self.sideways_where is None:
            raise ValueError(f"a source that is not sideways is never turned by {rotated}°")
        left, top, right, bottom = self.sideways_where.back(flipped)
        return self.right - bottom, left, self.right - top, right


def clearly_surer(turned: float, upright: float) -> bool:
    """Whether the confidence in a turned picture's reading tells that this way is up."""
    return turned >= max(_SURE, upright + _MARGIN)


def _upside_down(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[::-1, ::-1])


def _flipped(box: Box, picture: Picture) -> Box:
    """A box of a picture on the same picture upside down."""
    height, width = picture.shape
    return width - box[2], height - box[3], width - box[0], height - box[1]
