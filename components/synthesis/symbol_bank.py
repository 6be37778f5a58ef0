"""Real symbols by their token: what people wrote, to be written again in another formula."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from components.ink.ink import Stroke, Symbol

Box = npt.NDArray[np.float32]  # (2, 2): (left, top), (right, bottom)


class Samples:
    """The symbols of a collection of inks, (strokes, symbols) each."""

    def __init__(self, inks: Iterable[tuple[Sequence[Stroke], Sequence[Symbol]]]) -> None:
        self._samples: dict[str, list[tuple[Stroke, ...]]] = defaultdict(list)
        for strokes, symbols in inks:
            for symbol in symbols:
                self._samples[symbol.token].append(tuple(strokes[index] for index in symbol.strokes))

    def __len__(self) -> int:
        return sum(map(len, self._samples.values()))

    def __contains__(self, token: str) -> bool:
        return token in self._samples

    def any(self, token: str, rng: np.random.Generator) -> tuple[Stroke, ...]:
        """One of the symbols, in the units of its ink."""
        found = self._samples[token]
        return found[int(rng.integers(len(found)))]

    def like(self, token: str, shape: float, rng: np.random.Generator, tries: int = 6) -> tuple[Stroke, ...]:
        """Of some of the symbols the one most like `shape`, width to height: it is stretched least."""
        found = [self.any(token, rng) for _ in range(tries)]
        return min(found, key=lambda strokes: abs(np.log(_shape(strokes) / shape)))


def box_of(strokes: Sequence[Stroke]) -> Box:
    """The bounding box of strokes."""
    points = np.concatenate(strokes)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _shape(strokes: Sequence[Stroke]) -> float:
    width, height = np.ptp(box_of(strokes), axis=0)
    longest = max(float(width), float(height), 1e-6)
    return float(max(width, 0.02 * longest) / max(height, 0.02 * longest))
