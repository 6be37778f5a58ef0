"""Evaluate candidate bundles side by side on one test split: predictions, latency, size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from components.data.shards import read_table, strokes_of
from components.deployment.smoke_test import Expected, expect
from components.evaluation.metrics import Answer
from components.ink.ink import Stroke
from components.ink.raster import Picture, draw
from components.recognizer.features import Observation, observe
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
    expected: tuple[Expected, ...]  # pictures and their LaTeX, for the smoke test of the Bento
    latency: float  # ms per picture, median
    size: float  # MB of the bundle


def evaluate_candidates(bundles: dict[str, Path], split: Path) -> list[CandidateResult]:
    """Evaluate every bundle on a split as it is served: with its own raster and decoding settings.

    Latencies are measured in turns, picture by picture, so that other load on the machine affects all
    candidates alike. Raises BundleError, and FileNotFoundError if the split has no shards.
    """
    recognizers = {name: Recognizer.load(folder) for name, folder in bundles.items()}
    inks = list(_inks(split))
    latencies = _latencies(list(recognizers.values()), inks[:: max(1, len(inks) // _TIMED)][:_TIMED])
    return [
        _evaluate(name, recognizer, inks, latency, _size(bundles[name]))
        for (name, recognizer), latency in zip(recognizers.items(), latencies, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Ink:
    id: str
    strokes: tuple[Stroke, ...]
    label: tuple[str, ...]


def _inks(split: Path) -> Iterator[_Ink]:
    for row in read_table(split, ["id", "strokes", "tokens"]).to_pylist():
        yield _Ink(row["id"], strokes_of(row["strokes"]), tuple(row["tokens"]))


def _evaluate(
    name: str, recognizer: Recognizer, inks: Sequence[_Ink], latency: float, size: float
) -> CandidateResult:
    answers: list[Answer] = []
    observations: list[Observation] = []
    expected: list[Expected] = []
    for start in range(0, len(inks), _BATCH):
        batch = inks[start : start + _BATCH]
        pictures = [_draw(ink, recognizer) for ink in batch]
        for ink, picture, reading in zip(batch, pictures, recognizer.read(pictures), strict=True):
            answers.append(Answer(ink.id, ink.label, reading.tokens, reading.confidence))
            observations.append(observe(picture, len(reading.tokens), reading.confidence))
            if len(expected) < _SMOKE_SAMPLES:
                expected.append(expect(ink.id, picture, reading.latex))
    return CandidateResult(name, tuple(answers), tuple(observations), tuple(expected), latency, size)


def _draw(ink: _Ink, recognizer: Recognizer) -> Picture:
    return draw(ink.strokes, recognizer.settings.raster)


def _latencies(recognizers: Sequence[Recognizer], inks: Sequence[_Ink]) -> list[float]:
    """Return each recognizer's median milliseconds per picture over `inks`."""
    elapsed: list[list[float]] = [[] for _ in recognizers]
    for ink in (inks[0], *inks):  # the first one twice, as a warm-up
        for recognizer, times in zip(recognizers, elapsed, strict=True):
            picture = _draw(ink, recognizer)
            start = time.perf_counter()
            recognizer.read([picture])
            times.append(1000 * (time.perf_counter() - start))
    return [median(times[1:]) for times in elapsed]


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6
