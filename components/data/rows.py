"""An ink as a row of a shard: its drawing, its tokens, and the hash that copies of it share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from components.data.shards import Row
from components.ink.ink import Ink, Stroke
from components.ink.raster import RasterSettings, draw
from components.latex.normalizer import LabelError, normalize
from components.latex.tokenizer import TokenError, detokenize, tokenize

_STRUCTURE = frozenset("{}^_")


def row_of_ink(ink: Ink, source: str, settings: RasterSettings) -> Row:
    """Rasterize an ink with a normalized label. Raises ValueError if there is nothing to draw."""
    assert ink.label is not None
    picture = draw(ink.strokes, settings)
    done, png = cv2.imencode(".png", picture)
    assert done, "OpenCV encodes every uint8 picture"
    return Row(
        id=ink.id,
        writer=ink.writer,
        strokes=ink.strokes,
        symbols=ink.symbols,
        png=png.tobytes(),
        width=picture.shape[1],
        height=picture.shape[0],
        latex=ink.label,
        tokens=tokenize(ink.label),
        ink_hash=ink_hash(ink.strokes),
        source=source,
    )


def ink_hash(strokes: Sequence[Stroke]) -> str:
    """SHA-256 of an ink's strokes, independent of position: equal for copies."""
    points = np.concatenate(strokes)
    digest = hashlib.sha256(np.array([len(stroke) for stroke in strokes], np.int64).tobytes())
    digest.update((points - points.min(axis=0)).tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=4096)  # there are some hundreds
def symbol_token(truth: str) -> str:
    r"""The token of a single symbol in a normalized label: `\leq` → `\le`, `'` → `\prime`.

    What is no label by itself (`\sqrt`) stays as it is; what is written with several symbols (`\sin`) becomes
    their text.
    """
    try:
        tokens = tokenize(normalize(truth))
    except (LabelError, TokenError):
        return truth.strip("$ ")
    return detokenize(token for token in tokens if token not in _STRUCTURE)
