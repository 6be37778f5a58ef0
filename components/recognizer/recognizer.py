"""Pictures or ink in, LaTeX out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.ink.ink import Stroke
from components.ink.raster import Picture, draw
from components.latex.tokenizer import detokenize
from components.latex.vocabulary import Vocabulary
from components.recognizer.bundle import BundleSettings, load_bundle
from components.recognizer.calibration import Confidence
from components.recognizer.decoding import Hypothesis, Rules, decode
from components.recognizer.engine import Engine, Floats, Memory, OnnxEngine
from components.recognizer.inputs import to_input
from components.recognizer.preparation import prepare

_BATCH = 32  # rows (pictures times beams) that go through the network at once: bounds the memory
_SPREAD = 2.0  # the largest picture of a batch to its smallest


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
    confidence: float  # 0 to 1: how probably the whole formula is right
    alternatives: tuple[Alternative, ...] = ()  # the next best, best first
    score: float = 0.0  # ln of the model's own probability, before calibration


class Recognizer:
    """Reads handwritten formulas.

    `read` takes pictures as `raster.draw` makes them; `read_file` and `preparation.prepare` take any.
    """

    def __init__(self, engine: Engine, vocabulary: Vocabulary, settings: BundleSettings) -> None:
        self.engine, self.vocabulary, self.settings = engine, vocabulary, settings
        self.rules = Rules(vocabulary, settings.max_tokens, settings.both_ways)

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
        # Several pictures are dealt out to the cores, each batch on one of them.
        most = min(max(1, _BATCH // beam), -(-len(inputs) // self.engine.threads))
        batches = list(_batches([picture.size for picture in inputs], max(1, most)))
        readings: dict[int, Reading] = {}
        if len(batches) == 1:
            readings = self._read_batch(inputs, batches[0], beam, n_best, alone=True)
        elif batches:
            with ThreadPoolExecutor(min(self.engine.threads, len(batches))) as cores:
                for found in cores.map(lambda b: self._read_batch(inputs, b, beam, n_best, False), batches):
                    readings |= found
        return [readings[index] for index in range(len(inputs))]

    def _read_batch(
        self, inputs: Sequence[Floats], batch: Sequence[int], beam: int, n_best: int, alone: bool
    ) -> dict[int, Reading]:
        """Reads some of the inputs together; `alone`: no other batch is being read."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for index in batch:
            alike.setdefault(inputs[index].shape, []).append(index)
        parts = [self.engine.encode(np.stack([inputs[i] for i in part]), alone) for part in alike.values()]
        at_once = alone and self.engine.threads > 1
        answers = decode(self.engine, Memory.joined(parts), self.rules, beam, n_best, at_once)
        order = [index for part in alike.values() for index in part]
        confide = self.settings.calibration.of(beam)
        return {i: self._reading(found, confide) for i, found in zip(order, answers, strict=True)}

    def read_ink(self, strokes: Sequence[Stroke], beam: int = 1, n_best: int = 1) -> Reading:
        """Reads strokes. Raises ValueError where there is nothing to draw."""
        return self.read([draw(strokes, self.settings.raster)], beam, n_best)[0]

    def read_file(self, data: bytes, beam: int = 1, n_best: int = 1) -> Reading:
        """Reads a picture file's or InkML's bytes. Raises PictureError, InkError."""
        return self.read([prepare(data, self.settings.raster)], beam, n_best)[0]

    def _reading(self, hypotheses: list[Hypothesis], confide: Confidence) -> Reading:
        tokens = [self.vocabulary.decode(hypothesis.ids) for hypothesis in hypotheses]
        best, *others = confide.of([hypothesis.score for hypothesis in hypotheses], len(tokens[0]))
        alternatives = (
            Alternative(detokenize(t), confidence) for t, confidence in zip(tokens[1:], others, strict=True)
        )
        return Reading(detokenize(tokens[0]), tokens[0], best, tuple(alternatives), hypotheses[0].score)


def _batches(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices of pictures that are decoded together: about equally large ones, so that little of their memory
    is padding."""
    batch: list[int] = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        if batch and (len(batch) == most or sizes[index] > _SPREAD * sizes[batch[0]]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
