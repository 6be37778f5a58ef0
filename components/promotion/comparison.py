"""Bundles tried on one test split: what each reads there, and how fast it is, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.shards import read_table, strokes_of
from components.deployment.smoke_test import Expected, expect
from components.evaluation.metrics import Answer
from components.files import atomic_write
from components.ink.ink import Stroke
from components.ink.raster import Picture, draw
from components.recognizer.features import Observation, observe
from components.recognizer.recognizer import Recognizer

_BATCH = 64  # inks read together
_TIMED = 40  # pictures read one by one
_SMOKE = 20


@dataclass(frozen=True, eq=False)
class Trial:
    """What a bundle did with the test split."""

    name: str
    answers: tuple[Answer, ...]
    observations: tuple[Observation, ...]
    expected: tuple[Expected, ...]  # some pictures, and what was read there
    latency: float  # ms a picture, median
    size: float  # MB of the bundle


def try_out(bundles: dict[str, Path], split: Path, beam: int) -> list[Trial]:
    """Reads a split with every bundle, each drawing the ink as it was trained to see it.

    Latencies are taken in turns, picture by picture, so that a noisy machine is noisy for all. Raises
    BundleError, and FileNotFoundError where the split has no shards.
    """
    recognizers = {name: Recognizer.load(folder) for name, folder in bundles.items()}
    inks = list(_inks(split))
    latencies = _latencies(list(recognizers.values()), inks[:: max(1, len(inks) // _TIMED)][:_TIMED], beam)
    return [
        _trial(name, recognizer, inks, beam, latency, _size(bundles[name]))
        for (name, recognizer), latency in zip(recognizers.items(), latencies, strict=True)
    ]


def write_reference(trial: Trial, path: Path) -> None:
    """Writes what monitoring compares with: a row a reading."""
    table = pa.Table.from_pylist([observation.as_dict() for observation in trial.observations])
    with atomic_write(path) as beside:
        pq.write_table(table, beside, compression="zstd")


@dataclass(frozen=True, eq=False)
class _Ink:
    id: str
    strokes: tuple[Stroke, ...]
    label: tuple[str, ...]


def _inks(split: Path) -> Iterator[_Ink]:
    for row in read_table(split, ["id", "strokes", "tokens"]).to_pylist():
        yield _Ink(row["id"], strokes_of(row["strokes"]), tuple(row["tokens"]))


def _trial(
    name: str, recognizer: Recognizer, inks: Sequence[_Ink], beam: int, latency: float, size: float
) -> Trial:
    answers: list[Answer] = []
    observations: list[Observation] = []
    expected: list[Expected] = []
    for start in range(0, len(inks), _BATCH):
        batch = inks[start : start + _BATCH]
        pictures = [_drawn(ink, recognizer) for ink in batch]
        for ink, picture, reading in zip(batch, pictures, recognizer.read(pictures, beam), strict=True):
            answers.append(Answer(ink.id, ink.label, reading.tokens, reading.confidence))
            observations.append(observe(picture, len(reading.tokens), reading.confidence))
            if len(expected) < _SMOKE:
                expected.append(expect(ink.id, picture, reading.latex))
    return Trial(name, tuple(answers), tuple(observations), tuple(expected), latency, size)


def _drawn(ink: _Ink, recognizer: Recognizer) -> Picture:
    return draw(ink.strokes, recognizer.settings.raster)


def _latencies(recognizers: Sequence[Recognizer], inks: Sequence[_Ink], beam: int) -> list[float]:
    """Milliseconds a picture of each, medians over `inks`."""
    spent: list[list[float]] = [[] for _ in recognizers]
    for ink in (inks[0], *inks):  # the first one twice: it warms up
        for recognizer, times in zip(recognizers, spent, strict=True):
            picture = _drawn(ink, recognizer)
            start = time.perf_counter()
            recognizer.read([picture], beam)
            times.append(1000 * (time.perf_counter() - start))
    return [median(times[1:]) for times in spent]


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6
