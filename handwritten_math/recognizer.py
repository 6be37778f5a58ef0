"""The Python API: one class that reads, and what it returns."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.ink.ink import to_strokes
from components.ink.raster import draw_placed
from components.latex.latex_to_mathml import mathml
from components.recognizer import recognizer as runtime
from components.recognizer.bundle import bundled_model
from components.recognizer.device import Device
from components.recognizer.explanation import TokenBox
from components.recognizer.naming import with_function_names
from components.recognizer.orientation import Prepared, Rotation
from components.recognizer.preprocessing import prepare_source
from components.recognizer.recognizer import Alternative

Strokes: TypeAlias = Sequence[Sequence[tuple[float, float]]]
Source: TypeAlias = "str | Path | bytes | Image.Image | npt.NDArray[np.uint8] | Strokes"

__all__ = ["Alternative", "Prediction", "Recognizer", "Source", "Strokes", "TokenBox"]


@dataclass(frozen=True)
class Prediction:
    """A formula that was read."""

    latex: str
    confidence: float  # calibrated probability that the whole formula is right
    alternatives: tuple[Alternative, ...]  # the next best formulas, best first
    token_boxes: (
        tuple[TokenBox, ...] | None
    )  # the ink of each token, with `explain`; in the source's coordinates
    rotated: Rotation = 0  # degrees clockwise that a picture was turned by to be upright
    lines: int = 1  # of writing, as far as can be told; of more than one, each should be read alone

    @cached_property
    def mathml(self) -> str:
        """The formula as MathML. Raises ValueError if it cannot be converted."""
        made = mathml(self.latex)
        if made is None:
            raise ValueError(f"{self.latex}: cannot be converted to MathML")
        return made


class Recognizer:
    r"""Reads handwritten formulas from pictures, InkML and pen strokes.

    Threads may share one: ONNX Runtime reads, without PyTorch.

    >>> recognizer = Recognizer.load()
    >>> recognizer.read([[(0, 0), (8, 10)], [(8, 0), (0, 10)]]).latex.lower()
    'x'
    """

    def __init__(self, model: runtime.Recognizer) -> None:
        self._model = model

    @classmethod
    def load(cls, path: str | Path | None = None, *, threads: int = 0, device: Device = "auto") -> Recognizer:
        """Load a bundle's folder; None: the model that comes with the package.

        `threads` = 0 uses all cores; `device` `auto` and `cuda` encode on a GPU where onnxruntime-gpu finds
        one. Raises BundleError, which names the file and what to do.
        """
        folder = bundled_model() if path is None else Path(path)
        return cls(runtime.Recognizer.load(folder, threads, device))

    def read(
        self,
        source: Source,
        *,
        n_best: int = 1,
        explain: bool = False,
        beam: int | None = None,
        function_names: bool = True,
    ) -> Prediction:
        r"""Read one formula.

        `source` is a path or the bytes of a picture or InkML file, a PIL image, an array of pixels, uint8, of
        shape (height, width) or (height, width, 3), or strokes: lists of points (x, y), y downwards, in any
        unit.

        `n_best` - 1 alternatives are returned; `explain` adds `token_boxes`; `beam` overrides the model's
        number of beams; without `function_names` they are spelt in letters, as in MathWriting's labels.
        Raises OSError for a file that cannot be read, and ValueError that says what is wrong with the source.
        """
        prepared = self._prepare(source)
        [found] = self._model.read_views([prepared], beam, n_best, explain)
        found = runtime.placed(found, prepared)
        named = with_function_names(found) if function_names else found
        return Prediction(
            latex=named.latex,
            confidence=named.confidence,
            alternatives=named.alternatives,
            token_boxes=named.token_boxes,
            rotated=named.rotated,
            lines=named.lines,
        )

    def _prepare(self, source: Source) -> Prepared:
        """The model's input."""
        raster = self._model.settings.raster
        if isinstance(source, str | Path):
            return prepare_source(Path(source).read_bytes(), raster)
        if isinstance(source, bytes):
            return prepare_source(source, raster)
        if isinstance(source, np.ndarray):
            source = Image.fromarray(source)
        if isinstance(source, Image.Image):
            file = io.BytesIO()
            source.save(file, "PNG", compress_level=1)
            return prepare_source(file.getvalue(), raster)
        points = [np.asarray(stroke, np.float64).reshape(-1, 2) for stroke in source]
        if not sum(map(len, points)):
            raise ValueError("no stroke has a point")
        made, origin = to_strokes(np.concatenate(points))
        strokes = tuple(np.split(made, np.cumsum([len(stroke) for stroke in points])[:-1]))
        picture, where = draw_placed(strokes, raster)
        return Prepared(picture, where=where.moved(origin))
