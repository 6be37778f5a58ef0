"""Pictures or ink in, LaTeX out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from components.ink.ink import Stroke
from components.ink.raster import Picture, draw
from components.latex.tokenizer import detokenize
from components.latex.vocabulary import Vocabulary
from components.recognizer.bundle import BundleSettings, load_bundle
from components.recognizer.calibration import Confidence
from components.recognizer.decoding import Hypothesis, Rules, decode
from components.recognizer.engine import Engine, Memory, OnnxEngine
from components.recognizer.inputs import to_input
from components.recognizer.looking import Look, attention, looks
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
    looked: tuple[Look, ...] | None = None  # where each token was read, in pixels; None: nobody asked


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

    def read(
        self, pictures: Sequence[Picture], beam: int = 1, n_best: int = 1, explain: bool = False
    ) -> list[Reading]:
        """Reads pictures; a reading comes with up to `n_best` - 1 alternatives.

        Searches with `beam` beams, or `n_best` where that is more. With `explain` a reading says which ink
        each of its tokens was read from. Raises ValueError for a picture that is not uint8 (height, width).
        """
        beam = max(beam, n_best)
        inputs = [to_input(picture, self.settings.multiple) for picture in pictures]
        readings: dict[int, Reading] = {}
        for batch in _batches([picture.size for picture in inputs], max(1, _BATCH // beam)):
            alike: dict[tuple[int, ...], list[int]] = {}
            for index in batch:
                alike.setdefault(inputs[index].shape, []).append(index)
            parts = [self.engine.encode(np.stack([inputs[i] for i in part])) for part in alike.values()]
            memory = Memory.joined(parts)
            answers = decode(self.engine, memory, self.rules, beam, n_best)
            order = [index for part in alike.values() for index in part]
            confide = self.settings.calibration.of(beam)
            found = [self._reading(hypotheses, confide) for hypotheses in answers]
            if explain:
                seen = attention(self.engine, memory, [hypotheses[0].ids for hypotheses in answers])
                found = [
                    replace(r, looked=looks(r.tokens, s, pictures[index], self.settings.multiple))
                    for r, s, index in zip(found, seen, order, strict=True)
                ]
            readings.update(zip(order, found, strict=True))
        return [readings[index] for index in range(len(inputs))]

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
