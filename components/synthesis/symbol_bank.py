"""Samples of symbols by token, from many sources and writers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.files import atomic_write
from components.ink.ink import Stroke, Symbol

Box = npt.NDArray[np.float32]  # (2, 2): (left, top), (right, bottom)

_MANY = 60  # samples of a class from which on they need no distortion beyond a hand's own variation
_FEW, _OWN = 0.16, 0.03  # distortion of a class with one sample, and of one with many


@dataclass(frozen=True)
class Sample:
    """One written symbol, in the units of its ink, y downwards."""

    strokes: tuple[Stroke, ...]
    source: str
    hand: str = ""


class SymbolBank:
    """Samples of symbols. `weights` are relative sampling rates of sources."""

    def __init__(
        self, samples: Iterable[tuple[str, Sample]], weights: dict[str, float] | None = None
    ) -> None:
        self._samples: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for token, sample in samples:
            self._samples[token][sample.source].append(sample)
        self._cumulative: dict[str, tuple[list[str], npt.NDArray[np.float64]]] = {}
        for token, sources in self._samples.items():
            # The root of the number: a source of twenty hands counts beside one of thousands.
            shares = [
                (weights or {}).get(name.split(":")[0], 1.0) * len(found) ** 0.5
                for name, found in sources.items()
            ]
            self._cumulative[token] = (list(sources), np.cumsum(shares) / sum(shares))

    @classmethod
    def of_inks(
        cls, inks: Iterable[tuple[Sequence[Stroke], Sequence[Symbol]]], source: str = "train"
    ) -> SymbolBank:
        """Build the bank of a collection of inks, (strokes, symbols) each."""
        return cls(samples_of(inks, source))

    def __len__(self) -> int:
        return sum(self.count(token) for token in self._samples)

    def __contains__(self, token: str) -> bool:
        return token in self._samples

    @property
    def tokens(self) -> list[str]:
        return sorted(self._samples)

    def count(self, token: str) -> int:
        return sum(map(len, self._samples[token].values())) if token in self._samples else 0

    def all(self, token: str) -> list[Sample]:
        """Return all samples of a class, source by source."""
        return [sample for found in self._samples[token].values() for sample in found]

    def draw(self, token: str, rng: np.random.Generator) -> Sample:
        """Sample a symbol: a source by weight and square root of its size, then any of its samples."""
        names, cumulative = self._cumulative[token]
        name = names[min(int(np.searchsorted(cumulative, rng.random(), side="right")), len(names) - 1)]
        found = self._samples[token][name]
        return found[int(rng.integers(len(found)))]

    def any(self, token: str, rng: np.random.Generator) -> tuple[Stroke, ...]:
        """Sample a symbol with distortion: the fewer samples its source has, the more."""
        sample = self.draw(token, rng)
        alike = len(self._samples[token][sample.source])
        strength = _FEW + (_OWN - _FEW) * min(1.0, (alike - 1) / _MANY)
        return warped(sample.strokes, strength, rng)

    def like(self, token: str, shape: float, rng: np.random.Generator, tries: int = 6) -> tuple[Stroke, ...]:
        """Sample several and return the one closest to the aspect ratio `shape`."""
        found = [self.draw(token, rng).strokes for _ in range(tries)]
        return min(found, key=lambda strokes: abs(np.log(_shape(strokes) / shape)))

    def save(self, path: Path) -> None:
        """Write one Parquet file atomically."""
        rows = [(token, sample) for token in self.tokens for sample in self.all(token)]
        table = pa.table(
            {
                "token": [token for token, _ in rows],
                "source": [sample.source for _, sample in rows],
                "hand": [sample.hand for _, sample in rows],
                "strokes": pa.array(
                    [[stroke.ravel() for stroke in sample.strokes] for _, sample in rows],
                    pa.list_(pa.list_(pa.float32())),
                ),
            }
        )
        with atomic_write(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", compression_level=15)

    @classmethod
    def load(cls, path: Path, weights: dict[str, float] | None = None) -> SymbolBank:
        """Read what `save` wrote. Raises FileNotFoundError, which names the stage to run."""
        if not path.exists():
            raise FileNotFoundError(f"{path}: no symbol bank; run `dvc repro symbols` first")
        table = pq.read_table(path).to_pydict()
        columns = zip(table["token"], table["source"], table["hand"], table["strokes"], strict=True)
        return cls(
            (
                (
                    token,
                    Sample(tuple(np.asarray(s, np.float32).reshape(-1, 2) for s in strokes), source, hand),
                )
                for token, source, hand, strokes in columns
            ),
            weights,
        )


def samples_of(
    inks: Iterable[tuple[Sequence[Stroke], Sequence[Symbol]]], source: str
) -> Iterable[tuple[str, Sample]]:
    """Extract the symbols whose strokes the inks name; each ink counts as one writer."""
    for number, (strokes, symbols) in enumerate(inks):
        for symbol in symbols:
            yield symbol.token, Sample(tuple(strokes[i] for i in symbol.strokes), source, str(number))


def warped(strokes: Sequence[Stroke], strength: float, rng: np.random.Generator) -> tuple[Stroke, ...]:
    """Slant, stretch, rotate and bend strokes slightly; `strength` is a fraction of their extent."""
    box = box_of(strokes)
    middle, extent = box.mean(axis=0), max(float(np.ptp(box, axis=0).max()), 1e-6)
    turn, shear, stretch = rng.normal(0, strength, 3) * (0.7, 1.0, 1.5)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.array([[np.exp(stretch / 2), shear], [0, np.exp(-stretch / 2)]])
    wave = rng.normal(0, 1 / (0.9 * extent), (2, 2))
    phase, amplitude = rng.uniform(0, 2 * np.pi, 2), rng.normal(0, 0.5 * strength * extent, (2, 2)) / 2
    result = []
    for stroke in strokes:
        points = (stroke - middle) @ linear.T
        points = points + np.sin(points @ wave.T + phase) @ amplitude
        result.append((points + middle).astype(np.float32))
    return tuple(result)


def box_of(strokes: Sequence[Stroke]) -> Box:
    """Return the bounding box of strokes."""
    points = np.concatenate(strokes)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _shape(strokes: Sequence[Stroke]) -> float:
    width, height = np.ptp(box_of(strokes), axis=0)
    longest = max(float(width), float(height), 1e-6)
    return float(max(width, 0.02 * longest) / max(height, 0.02 * longest))
