"""Augment ink: distort strokes before drawing, degrade the picture afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from components.ink.ink import Stroke, Symbol
from components.ink.raster import Picture
from components.synthesis.symbol_bank import box_of

Range = tuple[float, float]
_LOOSE = 0.12  # how far another hand's symbol may differ in size and place from the one that it stands for


class AugmentConfig(BaseModel):
    """Strengths of the augmentations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: Range = Field(description="size, least and largest factor")
    rotate: float = Field(ge=0, le=45, description="degrees, at most")
    shear: float = Field(ge=0, le=1, description="sideways shift a unit of height, at most")
    wobble: float = Field(ge=0, le=1, description="smooth distortion, as a fraction of a symbol")
    pen: Range = Field(description="pen width as a fraction of a symbol, least and largest")
    drop: float = Field(ge=0, lt=1, description="points left out, as by a slower pen; at most this fraction")
    swap_symbols: float = Field(ge=0, le=1, description="inks in which other hands write half of the symbols")
    substitute_symbols: float = Field(
        ge=0, le=1, description="inks in which half of the tokens become others"
    )
    noise: float = Field(ge=0, le=1, description="grey noise, standard deviation; white to black is 1")
    paper: float = Field(0.0, ge=0, le=1, description="inks drawn as photographs of paper")


def distort(
    strokes: Sequence[Stroke], symbol: float, variation: AugmentConfig, rng: np.random.Generator
) -> tuple[Stroke, ...]:
    """Rotate, shear, stretch and smoothly distort an ink; `symbol` is a symbol's extent in its units."""
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
    bent = bent.astype(np.float32)
    ends = np.cumsum([len(stroke) for stroke in strokes])
    if variation.drop:
        starts = np.concatenate([[0], ends[:-1]])
        kept = rng.random(len(bent)) >= rng.uniform(0, variation.drop)
        kept[starts] = kept[ends - 1] = True
        bent, ends = bent[kept], np.cumsum(np.add.reduceat(kept.astype(np.int64), starts))
    return tuple(np.split(bent, ends[:-1]))


def swap_symbols(
    strokes: Sequence[Stroke],
    symbols: Sequence[Symbol],
    other: Callable[[str], Sequence[Stroke] | None],
    rng: np.random.Generator,
    share: float = 0.5,
    anew: Collection[int] = (),
) -> tuple[tuple[Stroke, ...], tuple[Symbol, ...]]:
    """The same formula with a share of its symbols from other hands, and those in `anew`, by number, whose
    token is no longer what was written; `other` finds a symbol of a token.

    Roots stay: another one's hook would run through what stands under it.
    """
    kept = set(range(len(strokes)))
    result: list[Stroke] = []
    owned: list[tuple[int, ...]] = []
    for number, symbol in enumerate(symbols):
        wanted = number in anew or (symbol.token != r"\sqrt" and rng.random() < share)
        found = other(symbol.token) if wanted else None
        own = [strokes[index] for index in symbol.strokes]
        kept.difference_update(symbol.strokes)
        written = own if found is None else _fitted(found, own, rng)
        owned.append(tuple(range(len(result), len(result) + len(written))))
        result += written
    moved = tuple(Symbol(symbol.token, ids) for symbol, ids in zip(symbols, owned, strict=True))
    return (*result, *(strokes[index] for index in sorted(kept))), moved


def _fitted(strokes: Sequence[Stroke], place: Sequence[Stroke], rng: np.random.Generator) -> list[Stroke]:
    """Scale and move strokes to about the box of `place`."""
    box, target = box_of(strokes), box_of(place)
    size, wanted = np.ptp(box, axis=0), np.ptp(target, axis=0)
    scale = float(wanted.max() / max(size.max(), 1e-6))
    # Neither much wider nor much higher: it would run into its neighbours.
    scale = min(scale, *(1.5 * (wanted + 0.2 * wanted.max()) / np.maximum(size, 1e-6)).tolist())
    scale *= rng.uniform(1 - _LOOSE, 1 + _LOOSE)
    middle = target.mean(axis=0) + rng.uniform(-_LOOSE, _LOOSE, 2) * wanted.max() / 2
    return [((s - box.mean(axis=0)) * scale + middle).astype(np.float32, copy=False) for s in strokes]


def degrade(picture: Picture, variation: AugmentConfig, rng: np.random.Generator) -> Picture:
    """Blur, fade and speckle a picture as cameras and scanners do."""
    if variation.noise == 0:
        return picture
    result: npt.NDArray[Any] = picture.astype(np.float32)
    if rng.random() < 0.3:
        result = cv2.GaussianBlur(result, (3, 3), rng.uniform(0.3, 0.9))
    result = 255 - (255 - result) * rng.uniform(0.6, 1.0)
    result += rng.standard_normal(result.shape, np.float32) * (255 * variation.noise * rng.random())
    return np.clip(result, 0, 255).astype(np.uint8)
