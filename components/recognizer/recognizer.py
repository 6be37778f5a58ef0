"""Pictures or ink in, LaTeX out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from components.recognizer.engine import Engine, Floats, Memory, OnnxEngine
from components.recognizer.explanation import Look, attention, looks
from components.recognizer.preprocessing import prepare, resized
from components.recognizer.tensors import to_input

_BATCH = 32  # rows (pictures times beams) of each size that go through the network at once: bounds the memory
_SPREAD = 2.0  # the largest picture of a batch to its smallest
_SHARES = 2  # batches a core, where there are several: the small ones fill up what the large ones leave


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
    scores: tuple[
        float, ...
    ] = ()  # ln of the model's own probabilities of all that was found, the best first
    looked: tuple[Look, ...] | None = None  # where each token was read, in pixels; None: nobody asked


@dataclass(frozen=True)
class _How:
    """How pictures are to be read; `alone`: no others are being read at the same time."""

    beam: int
    n_best: int
    explain: bool
    alone: bool


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
        each of its tokens was read from. Raises ValueError for a picture that is not uint8 (height, width),
        and where one of the numbers is less than 1.
        """
        if min(beam, n_best) < 1:
            raise ValueError(f"beam is {beam} and n_best {n_best}: expected at least 1")
        beam = max(beam, n_best)
        inputs = [to_input(picture, self.settings.multiple) for picture in pictures]
        # Several pictures are dealt out to the cores, each batch on one of them, what takes longest first.
        parts = _SHARES * self.engine.threads if self.engine.threads > 1 else 1
        most = min(max(1, _BATCH // beam), -(-len(inputs) // parts))
        batches = list(_batches([picture.size for picture in inputs], max(1, most)))
        how = _How(beam, n_best, explain, alone=len(batches) == 1)
        if how.alone:
            return self._read_batch(pictures, inputs, how)
        readings: dict[int, Reading] = {}
        with ThreadPoolExecutor(self.engine.threads) as cores:
            found = cores.map(lambda b: self._read_batch(*_picked(b, pictures, inputs), how), batches)
            for batch, read in zip(batches, found, strict=True):
                readings.update(zip(batch, read, strict=True))
        return [readings[index] for index in range(len(inputs))]

    def _read_batch(self, pictures: Sequence[Picture], inputs: Sequence[Floats], how: _How) -> list[Reading]:
        """Reads pictures together."""
        sizes = self.settings.sizes if how.beam > 1 else ()
        others = ([to_input(resized(p, size), self.settings.multiple) for p in pictures] for size in sizes)
        views = [self._memory(view, how.alone) for view in (inputs, *others)]
        at_once = how.alone and self.engine.threads > 1
        # All that is found says how sure the best is.
        answers = decode(self.engine, views, self.rules, how.beam, how.beam, at_once)
        confide = self.settings.calibration.of(how.beam)
        readings = [self._reading(hypotheses, how.n_best, confide) for hypotheses in answers]
        if how.explain:
            seen = attention(self.engine, views[0], [hypotheses[0].ids for hypotheses in answers])
            readings = [
                replace(r, looked=looks(r.tokens, s, picture, self.settings.multiple))
                for r, s, picture in zip(readings, seen, pictures, strict=True)
            ]
        return readings

    def _memory(self, inputs: Sequence[Floats], alone: bool) -> Memory:
        """Looks at pictures, those of one size together."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for index, picture in enumerate(inputs):
            alike.setdefault(picture.shape, []).append(index)
        memory = Memory.joined(
            [self.engine.encode(np.stack([inputs[i] for i in part]), alone) for part in alike.values()]
        )
        order = [index for part in alike.values() for index in part]
        return memory if order == sorted(order) else memory.take(np.argsort(order))

    def read_ink(self, strokes: Sequence[Stroke], beam: int = 1, n_best: int = 1) -> Reading:
        """Reads strokes. Raises ValueError where there is nothing to draw."""
        return self.read([draw(strokes, self.settings.raster)], beam, n_best)[0]

    def read_file(self, data: bytes, beam: int = 1, n_best: int = 1) -> Reading:
        """Reads a picture file's or InkML's bytes. Raises PictureError, InkError."""
        return self.read([prepare(data, self.settings.raster)], beam, n_best)[0]

    def _reading(self, hypotheses: list[Hypothesis], n_best: int, confide: Confidence) -> Reading:
        scores = tuple(hypothesis.score for hypothesis in hypotheses)
        tokens = [self.vocabulary.decode(hypothesis.ids) for hypothesis in hypotheses[:n_best]]
        best, *others = confide.of(scores, len(tokens[0]))[:n_best]
        alternatives = (
            Alternative(detokenize(t), confidence) for t, confidence in zip(tokens[1:], others, strict=True)
        )
        return Reading(detokenize(tokens[0]), tokens[0], best, tuple(alternatives), scores)


def _picked(
    batch: Sequence[int], pictures: Sequence[Picture], inputs: Sequence[Floats]
) -> tuple[list[Picture], list[Floats]]:
    return [pictures[index] for index in batch], [inputs[index] for index in batch]


def _batches(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices of pictures that are decoded together, the largest first: about equally large ones, so that
    little of their memory is padding."""
    batch: list[int] = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        if batch and (len(batch) == most or sizes[batch[0]] > _SPREAD * sizes[index]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
