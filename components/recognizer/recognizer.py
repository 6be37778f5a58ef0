"""Pictures or ink in, LaTeX out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from components.ink.ink import Stroke
from components.ink.raster import Picture, draw
from components.latex.tokenizer import detokenize
from components.latex.vocabulary import Vocabulary
from components.recognizer.bundle import BundleSettings, load_bundle
from components.recognizer.calibration import ConfidenceModel
from components.recognizer.decoding import UNRESTRICTED, DecodingConstraints, Hypothesis, Restriction, decode
from components.recognizer.device import Device
from components.recognizer.engine import Engine, Floats, Memory, OnnxEngine
from components.recognizer.explanation import TokenBox, explain, token_boxes
from components.recognizer.lines import count_lines
from components.recognizer.orientation import DOUBTFUL, PROMISING, Prepared, Rotation, Views, clearly_surer
from components.recognizer.preprocessing import prepare_source, resized
from components.recognizer.tensors import to_input

_BATCH = 32  # rows (pictures times beams) of each scale in one batch: bounds memory
_SPREAD = 2.0  # ratio of the largest to the smallest picture of a batch
_ROW = r"\\"  # ends a row
_RESTRICTIONS = 16  # whose constraints are kept: they remember what may follow
_SHARES = 2  # batches per core, if several: small ones fill the gaps that large ones leave


@dataclass(frozen=True)
class Alternative:
    """Another reading of the picture."""

    latex: str
    confidence: float


@dataclass(frozen=True)
class Prediction:
    """The formula on a picture."""

    latex: str
    tokens: tuple[str, ...]
    confidence: float  # 0 to 1: calibrated probability that the whole formula is correct
    alternatives: tuple[Alternative, ...] = ()  # the next best readings, best first
    scores: tuple[
        float, ...
    ] = ()  # ln of the model's own probabilities of all that was found, the best first
    token_boxes: tuple[TokenBox, ...] | None = (
        None  # where each token was read, in pixels; None: nobody asked
    )
    rotated: Rotation = 0  # degrees clockwise that the picture was turned by to be read
    lines: int = 1  # of writing; the formula is only to be trusted where there is one


@dataclass(frozen=True)
class _How:
    """Options of a batch; `alone`: no other batch is read at the same time."""

    beam: int
    n_best: int
    explain: bool
    constraints: DecodingConstraints
    alone: bool


class Recognizer:
    """Reads handwritten formulas.

    `read` takes pictures from `raster.draw` or `preprocessing.prepare`; `read_views` takes what
    `preprocessing.prepare_source` makes, and turns pictures upright; `read_file` takes any file.
    """

    def __init__(self, engine: Engine, vocabulary: Vocabulary, settings: BundleSettings) -> None:
        self.engine, self.vocabulary, self.settings = engine, vocabulary, settings
        decoding = settings.decoding
        self.constraints = lru_cache(_RESTRICTIONS)(
            partial(DecodingConstraints, vocabulary, decoding.max_tokens, decoding.bidirectional)
        )

    @classmethod
    def load(cls, folder: Path, threads: int = 0, device: Device = "cpu") -> Recognizer:
        """Open a bundle; `threads` = 0 uses all cores. Raises BundleError."""
        bundle = load_bundle(folder)
        engine = OnnxEngine(bundle.encoder, bundle.decoder, threads, device)
        return cls(engine, bundle.vocabulary, bundle.settings)

    def read(
        self,
        pictures: Sequence[Picture],
        beam: int | None = None,
        n_best: int = 1,
        explain: bool = False,
        restriction: Restriction = UNRESTRICTED,
    ) -> list[Prediction]:
        """Read pictures; a reading comes with up to `n_best` - 1 alternatives.

        `beam` overrides the bundle's number of beams (None). It alone decides what is found: `n_best` says
        how many of the hypotheses are returned, fewer where the search found fewer. With `explain` a reading
        says which ink each token was read from. `restriction` says what is known about the formula; the
        confidence is calibrated without it. Raises ValueError for a picture that is not uint8 (height,
        width), for numbers below 1, and for a restriction that no formula meets.
        """
        beam = self.settings.decoding.beam if beam is None else beam
        if min(beam, n_best) < 1:
            raise ValueError(f"beam is {beam} and n_best {n_best}: expected at least 1")
        inputs = list(map(self.as_input, pictures))
        # Several pictures are distributed over the cores, one batch each, the largest first.
        parts = _SHARES * self.engine.threads if self.engine.threads > 1 else 1
        most = min(max(1, _BATCH // beam), -(-len(inputs) // parts))
        batches = list(_batches([picture.size for picture in inputs], max(1, most)))
        how = _How(beam, n_best, explain, self.constraints(restriction), alone=len(batches) == 1)
        if how.alone:
            return self._read_batch(pictures, inputs, how)
        readings: dict[int, Prediction] = {}
        with ThreadPoolExecutor(self.engine.threads) as cores:
            found = cores.map(lambda b: self._read_batch(*_picked(b, pictures, inputs), how), batches)
            for batch, read in zip(batches, found, strict=True):
                readings.update(zip(batch, read, strict=True))
        return [readings[index] for index in range(len(inputs))]

    def read_views(
        self,
        sources: Sequence[Views],
        beam: int | None = None,
        n_best: int = 1,
        explain: bool = False,
        restriction: Restriction = UNRESTRICTED,
    ) -> list[Prediction]:
        """As `read`; pictures are turned upright where the model is clearly surer of them then.

        Lines of writing are counted too. Boxes are on the picture that was read, `Views.view`: `placed` finds
        them in the source.
        """
        readings = self.read([source.picture for source in sources], beam, n_best, explain, restriction)
        candidates = self._candidates(sources, readings, restriction)
        views = [sources[index].view(rotated) for index, rotated in candidates]
        turned = self.read(views, beam, n_best, explain, restriction) if views else []
        for (index, rotated), reading in zip(candidates, turned, strict=True):
            if clearly_surer(reading.confidence, readings[index].confidence):
                readings[index] = replace(reading, rotated=rotated)
        return [
            reading if has_rows(reading) else replace(reading, lines=count_lines(s.view(reading.rotated)))
            for s, reading in zip(sources, readings, strict=True)
        ]

    def _candidates(
        self, sources: Sequence[Views], readings: Sequence[Prediction], restriction: Restriction
    ) -> list[tuple[int, Rotation]]:
        """The doubtful sources, with the rotation that greedy decoding is surest of, if it is sure enough."""
        views = [
            (index, rotated, picture)
            for index, (source, reading) in enumerate(zip(sources, readings, strict=True))
            if reading.confidence < DOUBTFUL
            for rotated, picture in source.turned().items()
        ]
        if not views:
            return []
        greedy = self.read([picture for *_, picture in views], beam=1, restriction=restriction)
        surest: dict[int, tuple[float, Rotation]] = {}
        for (index, rotated, _), reading in zip(views, greedy, strict=True):
            surest[index] = max(surest.get(index, (0.0, rotated)), (reading.confidence, rotated))
        return [
            (index, rotated)
            for index, (confidence, rotated) in surest.items()
            if confidence > max(PROMISING, readings[index].confidence)
        ]

    def _read_batch(
        self, pictures: Sequence[Picture], inputs: Sequence[Floats], how: _How
    ) -> list[Prediction]:
        """Read pictures in one batch."""
        scales = self.settings.decoding.scales if how.beam > 1 else ()
        others = ([self.as_input(resized(picture, scale)) for picture in pictures] for scale in scales)
        views = [self._memory(view, how.alone) for view in (inputs, *others)]
        parallel = how.alone and self.engine.threads > 1
        # The calibration uses all hypotheses.
        answers = decode(self.engine, views, how.constraints, how.beam, how.beam, parallel)
        confidence = self.settings.decoding.calibration.for_beam(how.beam)
        readings = [self._reading(hypotheses, how.n_best, confidence) for hypotheses in answers]
        if how.explain:
            seen = explain(self.engine, views[0], [hypotheses[0].ids for hypotheses in answers])
            boxes = partial(
                token_boxes,
                self.vocabulary,
                multiple=self.settings.multiple,
                min_side=self.settings.decoding.min_side,
            )
            readings = [
                replace(r, token_boxes=boxes(r.tokens, s, picture))
                for r, s, picture in zip(readings, seen, pictures, strict=True)
            ]
        return readings

    def as_input(self, picture: Picture) -> Floats:
        """A picture as the network gets it: `to_input` with the bundle's settings."""
        return to_input(picture, self.settings.multiple, self.settings.decoding.min_side)

    def _memory(self, inputs: Sequence[Floats], alone: bool) -> Memory:
        """Encode pictures, those of one size together."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for index, picture in enumerate(inputs):
            alike.setdefault(picture.shape, []).append(index)
        memory = Memory.concatenate(
            [self.engine.encode(np.stack([inputs[i] for i in part]), alone) for part in alike.values()]
        )
        order = [index for part in alike.values() for index in part]
        return memory if order == sorted(order) else memory.select(np.argsort(order))

    def read_ink(self, strokes: Sequence[Stroke], beam: int | None = None, n_best: int = 1) -> Prediction:
        """Read strokes. Raises ValueError if there is nothing to draw."""
        return self.read([draw(strokes, self.settings.raster)], beam, n_best)[0]

    def read_file(self, data: bytes, beam: int | None = None, n_best: int = 1) -> Prediction:
        """Read the bytes of a picture file or an InkML document. Raises PictureError, InkError."""
        return self.read_views([prepare_source(data, self.settings.raster)], beam, n_best)[0]

    def _reading(self, hypotheses: list[Hypothesis], n_best: int, confidence: ConfidenceModel) -> Prediction:
        scores = tuple(hypothesis.score for hypothesis in hypotheses)
        tokens = [self.vocabulary.decode(hypothesis.ids) for hypothesis in hypotheses[:n_best]]
        best, *others = confidence.probabilities(scores, len(tokens[0]))[:n_best]
        alternatives = (
            Alternative(detokenize(t), probability) for t, probability in zip(tokens[1:], others, strict=True)
        )
        return Prediction(detokenize(tokens[0]), tokens[0], best, tuple(alternatives), scores)


def has_rows(reading: Prediction) -> bool:
    """Whether a formula of several rows, such as a matrix, was read, and probably so."""
    return _ROW in reading.tokens and reading.confidence >= DOUBTFUL


def placed(prediction: Prediction, source: Prepared) -> Prediction:
    """The prediction with its boxes in the source's coordinates."""
    if prediction.token_boxes is None:
        return prediction
    moved = (
        replace(token, box=token.box and source.back(token.box, prediction.rotated))
        for token in prediction.token_boxes
    )
    return replace(prediction, token_boxes=tuple(moved))


def _picked(
    batch: Sequence[int], pictures: Sequence[Picture], inputs: Sequence[Floats]
) -> tuple[list[Picture], list[Floats]]:
    return [pictures[index] for index in batch], [inputs[index] for index in batch]


def _batches(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices of pictures to decode together, the largest first: of similar size, to limit padding."""
    batch: list[int] = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True):
        if batch and (len(batch) == most or sizes[batch[0]] > _SPREAD * sizes[index]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
