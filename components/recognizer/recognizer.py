"""Pictures or ink in, LaTeX out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from components.ink.ink import Stroke
from components.ink.raster import Picture, draw
from components.latex.tokenizer import detokenize
from components.latex.vocabulary import Vocabulary
from components.recognizer.bundle import BundleSettings, load_bundle
from components.recognizer.decoding import Hypothesis, decode
from components.recognizer.engine import Engine, Memory, OnnxEngine
from components.recognizer.inputs import to_input
from components.recognizer.preparation import prepare

_BATCH = 32  # rows (pictures times beams) that go through the network at once: bounds the memory


@dataclass(frozen=True)
class Alternative:
    """Another way to read the picture."""

    latex: str
    confidence: float


@dataclass(frozen=True)
class Reading:
    """What stands on a picture."""

    latex: str
    tokens: tuple[str, ...]
    confidence: float  # 0 to 1: the model's probability of the whole formula
    alternatives: tuple[Alternative, ...] = ()  # the next best, best first


class Recognizer:
    """Reads handwritten formulas.

    `read` takes pictures as `raster.draw` makes them; `read_file` and `preparation.prepare` take any.
    """

    def __init__(self, engine: Engine, vocabulary: Vocabulary, settings: BundleSettings) -> None:
        self.engine, self.vocabulary, self.settings = engine, vocabulary, settings

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> Recognizer:
        """Opens a bundle; `threads` = 0 takes all cores. Raises BundleError."""
        bundle = load_bundle(folder)
        return cls(OnnxEngine(bundle.encoder, bundle.decoder, threads), bundle.vocabulary, bundle.settings)

    def read(self, pictures: Sequence[Picture], beam: int = 1, n_best: int = 1) -> list[Reading]:
        """Reads pictures; a reading comes with up to `n_best` - 1 alternatives.

        Searches with `beam` beams, or `n_best` where that is more. Raises ValueError for a picture that is
        not uint8 (height, width).
        """
        beam = max(beam, n_best)
        inputs = [to_input(picture, self.settings.multiple) for picture in pictures]
        # Of about one size, so that little of a batch's memory is padding.
        order = sorted(range(len(inputs)), key=lambda index: (inputs[index].size, inputs[index].shape))
        size = max(1, _BATCH // beam)
        readings: dict[int, Reading] = {}
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            alike = (list(indices) for _, indices in groupby(batch, lambda index: inputs[index].shape))
            parts = [self.engine.encode(np.stack([inputs[index] for index in part])) for part in alike]
            answers = decode(self.engine, Memory.joined(parts), self.settings.max_tokens, beam, n_best)
            readings.update(zip(batch, map(self._reading, answers), strict=True))
        return [readings[index] for index in range(len(inputs))]

    def read_ink(self, strokes: Sequence[Stroke], beam: int = 1, n_best: int = 1) -> Reading:
        """Reads strokes. Raises ValueError where there is nothing to draw."""
        return self.read([draw(strokes, self.settings.raster)], beam, n_best)[0]

    def read_file(self, data: bytes, beam: int = 1, n_best: int = 1) -> Reading:
        """Reads a picture file's or InkML's bytes. Raises PictureError, InkError."""
        return self.read([prepare(data, self.settings.raster)], beam, n_best)[0]

    def _reading(self, hypotheses: list[Hypothesis]) -> Reading:
        tokens = [self.vocabulary.decode(hypothesis.ids) for hypothesis in hypotheses]
        best, *others = (
            Alternative(detokenize(t), math.exp(hypothesis.score))
            for t, hypothesis in zip(tokens, hypotheses, strict=True)
        )
        return Reading(best.latex, tokens[0], best.confidence, tuple(others))
