"""Features of a prediction for drift detection, kept without the picture."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from components.ink.raster import Picture

_DARK = 128  # grey; below it a pixel is ink


@dataclass(frozen=True)
class Observation:
    """Features of one prediction. The formula can't be recovered from them."""

    tokens: int  # of the formula
    confidence: float  # 0 to 1
    width: int  # of the preprocessed picture, pixels
    height: int
    ink: float  # fraction of dark pixels

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def observe(picture: Picture, tokens: int, confidence: float) -> Observation:
    """Compute the features of a preprocessed picture and its prediction."""
    height, width = picture.shape
    dark = float(np.count_nonzero(picture < _DARK)) / picture.size
    return Observation(tokens, round(confidence, 6), width, height, round(dark, 6))
