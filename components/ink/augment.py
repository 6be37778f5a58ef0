"""The same formula by another hand: ink is bent before it is drawn, the picture soiled after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from components.ink.ink import Stroke
from components.ink.raster import Picture

Range = tuple[float, float]


class Variation(BaseModel):
    """How far augmentation may go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: Range = Field(description="size, least and largest factor")
    rotate: float = Field(ge=0, le=45, description="degrees, at most")
    shear: float = Field(ge=0, le=1, description="sideways shift a unit of height, at most")
    wobble: float = Field(ge=0, le=1, description="smooth distortion, as a fraction of a symbol")
    pen: Range = Field(description="pen width as a fraction of a symbol, least and largest")
    noise: float = Field(ge=0, le=1, description="grey noise, standard deviation; white to black is 1")


def bend(
    strokes: Sequence[Stroke], symbol: float, variation: Variation, rng: np.random.Generator
) -> tuple[Stroke, ...]:
    """Turns, shears, stretches and smoothly distorts an ink; `symbol` is a symbol's extent in its units."""
    points = np.concatenate(strokes)
    centre = points.mean(axis=0)
    turn = np.deg2rad(rng.uniform(-variation.rotate, variation.rotate))
    shear = rng.uniform(-variation.shear, variation.shear)
    stretch = np.exp(rng.uniform(-0.5, 0.5) * np.log(variation.scale[1] / variation.scale[0]))
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.array([[stretch**0.5, shear], [0, stretch**-0.5]])
    bent = (points - centre) @ linear.T
    if variation.wobble:
        # A few long waves: neighbours move together, the ends of a formula do not.
        waves = rng.normal(0, 1 / (2.5 * symbol), (3, 2))
        phase = (bent @ waves.T + rng.uniform(0, 1, 3)) * 2 * np.pi
        bent = bent + np.sin(phase) @ rng.normal(0, variation.wobble * symbol, (3, 2))
    ends = np.cumsum([len(stroke) for stroke in strokes])[:-1]
    return tuple(np.split(bent.astype(np.float32), ends))


def soil(picture: Picture, variation: Variation, rng: np.random.Generator) -> Picture:
    """Blurs, fades and speckles a picture as cameras and scanners do."""
    if variation.noise == 0:
        return picture
    result: npt.NDArray[Any] = picture.astype(np.float32)
    if rng.random() < 0.3:
        result = cv2.GaussianBlur(result, (3, 3), rng.uniform(0.3, 0.9))
    result = 255 - (255 - result) * rng.uniform(0.6, 1.0)
    result += rng.standard_normal(result.shape, np.float32) * (255 * variation.noise * rng.random())
    return np.clip(result, 0, 255).astype(np.uint8)
