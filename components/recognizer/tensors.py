"""Convert pictures to model input, for training, evaluation and service alike."""

from __future__ import annotations

import numpy as np

from components.ink.raster import Picture
from components.recognizer.engine import Floats


def to_input(picture: Picture, multiple: int, min_side: int = 0) -> Floats:
    """Convert a picture to the model's input: float32 (1, H, W), ink 1 and paper 0.

    H and W are the next multiples of `multiple`, and at least `min_side`: in training, the picture of a minus
    is padded to the others of its batch. What is added to the right and below is paper. So pictures
    of about one size share a batch, and none is ever padded to another's size: an answer can't depend on
    its neighbours. Raises ValueError where `picture` is not uint8 (height, width).
    """
    if picture.dtype != np.uint8 or picture.ndim != 2 or 0 in picture.shape:
        raise ValueError(f"expected a uint8 picture (height, width), got {picture.dtype} {picture.shape}")
    height, width = picture.shape
    result = np.zeros((1, *padded_shape(picture, multiple, min_side)), np.float32)
    np.divide(255 - picture, np.float32(255), out=result[0, :height, :width])
    return result


def padded_shape(picture: Picture, multiple: int, min_side: int = 0) -> tuple[int, int]:
    """Height and width of `to_input`'s result."""
    height, width = (-(-max(side, min_side) // multiple) * multiple for side in picture.shape)
    return height, width
