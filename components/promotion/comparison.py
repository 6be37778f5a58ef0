"""Evaluate candidate bundles side by side on one test split: predictions, latency, size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from components.data.shards import read_table, strokes_of
from components.deployment.smoke_test import Expected, as_served, expect
from components.evaluation.metrics import Answer
from components.ink.ink import Stroke
from components.ink.raster import Picture, RasterSettings, draw
from components.monitoring.reference import INK, PICTURE
from components.recognizer.features import Observation, observe
from components.recognizer.preprocessing import open_grey
from components.recognizer.recognizer import Recognizer

_BATCH = 64
_TIMED = 40  # pictures read one by one for the latency
_SMOKE_SAMPLES = 20


@dataclass(frozen=True, eq=False)
class CandidateResult:
    """What a bundle achieves on the test split."""

    name: str
    answers: tuple[Answer, ...]
    observations: tuple[Observation, ...]
    kinds: tuple[str, ...]  # what each was read from: INK or PICTURE
    expected: tuple[Expected, ...]  # pictures and their LaTeX, for the smoke test of the Bento
    latency: float  # ms per picture, median
    size: float  # MB of the bundle


def evaluate_candidates(
    bundles: dict[str, Path], split: Path, raster: RasterSettings
) -> list[CandidateResult]:
    """Evaluate every bundle on a split as it is served: with its own raster and decoding settings.

    `raster` are the settings that the split was rasterized with: its pictures are resized for a bundle that
    has others.

    Latencies are measured in turns, picture by picture, so that other load on the machine affects all
    candidates alike. Raises BundleError, and FileNotFoundError if the split has no shards.
    """
    inks = list(_inks(split, raster))
    recognizers = {name: Recognizer.load(folder) for name, folder in bundles.items()}
    latencies = _latencies(list(recognizers.values()), inks[:: max(1, len(inks) // _TIMED)][:_TIMED])
    return [
        _evaluate(name, recognizer, inks, latency, _size(bundles[name]))
        for (name, recognizer), latency in zip(recognizers.items(), latencies, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Ink:
    """A row of the split: an ink, or a picture without strokes, as it was prepared with `raster`."""

    id: str
    label: tuple[str, ...]
    strokes: tuple[Stroke, ...] | None
    png: bytes
    raster: RasterSettings

    @property
    def kind(self) -> str:
        return INK if self.strokes is not None else PICTURE

    def picture(self, raster: RasterSettings) -> Picture:
        """What a recognizer with these settings reads."""
        if self.strokes is not None:
            return draw(self.strokes, raster)
        prepared = open_grey(self.png)
        return prepared if raster == self.raster else _resized(prepared, self.raster, raster)


def _resized(picture: Picture, own: RasterSettings, wanted: RasterSettings) -> Picture:
    """A prepared picture at the size of other settings. Preparing it once more would change more of it."""
    height, width = picture.shape
    room = wanted.max_height / height, wanted.max_width / width
    scale = min(wanted.symbol / own.symbol, *room)
    size = max(1, int(width * scale)), max(1, int(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _inks(split: Path, raster: RasterSettings) -> Iterator[_Ink]:
    for row in read_table(split, ["id", "strokes", "tokens", "png"]).to_pylist():
        strokes = None if row["strokes"] is None else strokes_of(row["strokes"])
        yield _Ink(row["id"], tuple(row["tokens"]), strokes, row["png"], raster)


def _evaluate(
    name: str, recognizer: Recognizer, inks: Sequence[_Ink], latency: float, size: float
) -> CandidateResult:
    answers: list[Answer] = []
    observations: list[Observation] = []
    expected: list[Expected] = []
    for start in range(0, len(inks), _BATCH):
        batch = inks[start : start + _BATCH]
        pictures = [ink.picture(recognizer.settings.raster) for ink in batch]
        for ink, picture, reading in zip(batch, pictures, recognizer.read(pictures), strict=True):
            answers.append(Answer(ink.id, ink.label, reading.tokens, reading.confidence))
            observations.append(observe(picture, len(reading.tokens), reading.confidence))
            if len(expected) < _SMOKE_SAMPLES and as_served(picture, recognizer.settings.raster):
                expected.append(expect(ink.id, picture, reading.latex))
    kinds = tuple(ink.kind for ink in inks)
    return CandidateResult(name, tuple(answers), tuple(observations), kinds, tuple(expected), latency, size)


def _latencies(recognizers: Sequence[Recognizer], inks: Sequence[_Ink]) -> list[float]:
    """Return each recognizer's median milliseconds per picture over `inks`."""
    elapsed: list[list[float]] = [[] for _ in recognizers]
    for ink in (inks[0], *inks):  # the first one twice, as a warm-up
        for recognizer, times in zip(recognizers, elapsed, strict=True):
            picture = ink.picture(recognizer.settings.raster)
            start = time.perf_counter()
            recognizer.read([picture])
            times.append(1000 * (time.perf_counter() - start))
    return [median(times[1:]) for times in elapsed]


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6
