"""What is remembered of a reading once the picture is gone: figures to compare one time with another."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from components.ink.raster import Picture

_DARK = 128  # grey; below it a pixel is ink


@dataclass(frozen=True)
class Observation:
    """A reading in figures. Nobody can read the formula out of them."""

    tokens: int  # of the answer
    confidence: float  # 0 to 1
    width: int  # of the prepared picture, pixels
    height: int
    ink: float  # the fraction of its pixels that are dark

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def observe(picture: Picture, tokens: int, confidence: float) -> Observation:
    """The figures of a picture, as `draw` and `prepare` make it, and of its answer."""
    height, width = picture.shape
    dark = float(np.count_nonzero(picture < _DARK)) / picture.size
    return Observation(tokens, round(confidence, 6), width, height, round(dark, 6))
