"""Shards to training batches: every ink is drawn anew, as another hand would write it, each epoch.

What a batch holds depends on seed, epoch and index alone, not on the number of loader processes or on
what ran before: a training that goes on from a checkpoint sees what it would have seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from components.ink.augment import Variation, bend, soil
from components.ink.ink import Stroke, Symbol
from components.ink.raster import Picture, RasterSettings, bounds, draw_in, frame_at, limit_scale
from components.latex.vocabulary import BOS, EOS, PAD, Vocabulary
from components.recognizer.inputs import to_input
from components.shards import read_table, symbols_of

NOWHERE = -100  # a cell that no loss looks at


@dataclass(frozen=True)
class Plan:
    """Which inks make a batch, in which epoch, and how large they are written (1: as they are)."""

    indices: tuple[int, ...]
    epoch: int
    scale: float


@dataclass(frozen=True)
class Batch:
    """A batch of B pictures with H * W pixels, answers of T tokens, a memory of `cells` cells."""

    indices: tuple[int, ...]
    pictures: Tensor  # (B, 1, H, W) float
    tokens: Tensor  # (B, T): from <bos> on
    targets: Tensor  # (B, T): to <eos>
    centres: Tensor  # (B, T, 2): x, y in cells, of the symbol of each target; NaN where it has no ink
    spots: Tensor  # (B, cells): the token whose ink is there, <pad> for paper, NOWHERE where unknown

    def to(self, device: torch.device) -> Batch:
        tensors = (self.pictures, self.tokens, self.targets, self.centres, self.spots)
        return Batch(self.indices, *(t.to(device, non_blocking=True) for t in tensors))


class Inks(Dataset[Batch]):
    """One split, to be asked for whole batches.

    Without `variation` the pictures are those of the shards. Inks whose label is longer than `max_tokens`
    are left out of training's plans (`usable`).
    """

    def __init__(
        self,
        folder: Path,
        vocabulary: Vocabulary,
        settings: RasterSettings,
        *,
        stride: int,
        multiple: int,
        max_tokens: int,
        seed: int,
        variation: Variation | None = None,
    ) -> None:
        columns = ["id", "strokes", "symbols", "png", "width", "height", "latex", "tokens"]
        table = read_table(folder, columns).combine_chunks()
        strokes = table["strokes"].chunk(0)
        self._of_ink = strokes.offsets.to_numpy()  # strokes of an ink; Arrow's own memory, no copies
        self._of_stroke = strokes.values.offsets.to_numpy()
        self._values = strokes.values.values.to_numpy()
        self._symbols = table["symbols"]
        self._png = table["png"]
        self.ids: list[str] = table["id"].to_pylist()
        self.latex: list[str] = table["latex"].to_pylist()
        self.tokens: list[list[str]] = table["tokens"].to_pylist()
        self.widths = table["width"].to_numpy()
        self.heights = table["height"].to_numpy()
        self.vocabulary, self.settings, self.variation = vocabulary, settings, variation
        self.stride, self.multiple, self.seed = stride, multiple, seed
        self.usable = [i for i, tokens in enumerate(self.tokens) if len(tokens) < max_tokens]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, plan: Plan) -> Batch:
        drawn = [self._drawn(index, plan) for index in plan.indices]
        height = max(picture.shape[0] for picture, *_ in drawn)
        width = max(picture.shape[1] for picture, *_ in drawn)
        rows, columns = (-(-side // self.multiple) * self.multiple for side in (height, width))
        pictures = np.zeros((len(drawn), 1, rows, columns), np.float32)
        length = max(len(self.tokens[index]) for index in plan.indices) + 1
        tokens = np.full((len(drawn), length + 1), PAD, np.int64)
        centres = np.full((len(drawn), length, 2), np.nan, np.float32)
        spots = np.full((len(drawn), rows // self.stride, columns // self.stride), PAD, np.int64)
        for row, (index, (picture, symbols, boxes)) in enumerate(zip(plan.indices, drawn, strict=True)):
            made = to_input(picture, self.multiple)
            pictures[row, :, : made.shape[1], : made.shape[2]] = made
            label = self.tokens[index]
            ids = [BOS, *self.vocabulary.encode(label), EOS]
            tokens[row, : len(ids)] = ids
            for position, symbol in aligned(label, symbols).items():
                centres[row, position] = boxes[symbol].mean(axis=0) / self.stride - 0.5
            self._mark(spots[row], symbols, boxes)
        tensors = (pictures, tokens[:, :-1], tokens[:, 1:], centres, spots.reshape(len(drawn), -1))
        return Batch(plan.indices, *map(torch.from_numpy, tensors))

    def strokes(self, index: int) -> tuple[Stroke, ...]:
        """The strokes of one ink."""
        first, last = self._of_ink[index], self._of_ink[index + 1]
        ends = self._of_stroke[first : last + 1]
        points = self._values[ends[0] : ends[-1]].reshape(-1, 2)
        return tuple(np.split(points, (ends[1:-1] - ends[0]) // 2))

    def picture(self, index: int) -> Picture:
        """The picture of one ink, as the shard has it."""
        data = np.frombuffer(self._png[index].as_buffer(), np.uint8)
        picture: Any = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        return np.asarray(picture, np.uint8)

    def _drawn(
        self, index: int, plan: Plan
    ) -> tuple[Picture, tuple[Symbol, ...], list[npt.NDArray[np.float32]]]:
        """A picture, its symbols, and their boxes ((left, top), (right, bottom)) in pixels."""
        settings, strokes = self.settings, self.strokes(index)
        symbols = symbols_of(self._symbols[index].as_py() or [])
        low, high = bounds(strokes)
        # The scale of the shard's picture, which has one pixel more than the ink, and the margins.
        room = np.array([self.widths[index], self.heights[index]]) - 2 * settings.margin - 1
        scale = float(max(room.max() / max((high - low).max(), 1e-6), 1e-6))
        if self.variation is None:
            where = frame_at(low, high, scale, settings.margin)
            return (
                self.picture(index),
                symbols,
                _boxes(strokes, symbols, where.origin, scale, settings.margin),
            )
        rng = np.random.default_rng([self.seed, plan.epoch, index])
        strokes = bend(strokes, settings.symbol / scale, self.variation, rng)
        low, high = bounds(strokes)
        scale = min(scale * plan.scale * rng.uniform(0.95, 1.05), limit_scale(high - low, settings))
        where = frame_at(low, high, scale, settings.margin)
        pen = settings.symbol * rng.uniform(*self.variation.pen)
        picture = soil(draw_in(strokes, where, settings.margin, pen), self.variation, rng)
        return picture, symbols, _boxes(strokes, symbols, where.origin, scale, settings.margin)

    def _mark(
        self,
        spots: npt.NDArray[np.int64],
        symbols: Sequence[Symbol],
        boxes: Sequence[npt.NDArray[np.float32]],
    ) -> None:
        """Writes each symbol's number into the cells in the middle of its box; the smaller symbol wins."""
        if not symbols:
            spots[:] = NOWHERE
            return
        numbers = self.vocabulary.encode([symbol.token for symbol in symbols])
        for symbol in sorted(range(len(symbols)), key=lambda s: -np.ptp(boxes[s], axis=0).prod()):
            low, high = boxes[symbol] / self.stride
            middle, half = (low + high) / 2, (high - low) * 0.3
            left, top = np.floor(middle - half).astype(int)
            right, bottom = np.floor(middle + half).astype(int) + 1
            known = symbols[symbol].token not in self.vocabulary.unknown([symbols[symbol].token])
            spots[max(top, 0) : bottom, max(left, 0) : right] = numbers[symbol] if known else NOWHERE


def aligned(label: Sequence[str], symbols: Sequence[Symbol]) -> dict[int, int]:
    r"""Which token of a label was written as which symbol: the k-th x of the label is the k-th x of the ink.

    A kind of token that the two count differently is left out: nothing says which is which. A fraction's
    bar is `\frac` in synthetic ink and `-` in CROHME's; the latter is taken where no minus can be meant.
    """
    positions: dict[str, list[int]] = defaultdict(list)
    for position, token in enumerate(label):
        positions[token].append(position)
    owners: dict[str, list[int]] = defaultdict(list)
    for index, symbol in enumerate(symbols):
        owners[symbol.token].append(index)
    if r"\frac" in positions and r"\frac" not in owners and "-" not in positions:
        owners[r"\frac"] = owners.pop("-", [])
    return {
        position: symbol
        for token, where in positions.items()
        if len(where) == len(owners[token])
        for position, symbol in zip(where, owners[token], strict=True)
    }


class PlanSampler(Sampler[Plan]):
    """Cuts an epoch into batches of inks of about one size, in random order; on `world` machines, each
    takes its own. Call `set_epoch` before each epoch."""

    def __init__(
        self, inks: Inks, batch: int, scale: tuple[float, float] | None, rank: int = 0, world: int = 1
    ) -> None:
        self.inks, self.batch, self.scale = inks, batch, scale
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        if self.scale:  # training drops what does not fill a batch on each machine
            return len(self.inks.usable) // (self.batch * self.world) or 1
        batches = -(-len(self.inks.usable) // self.batch)
        return len(range(self.rank, batches, self.world))

    def __iter__(self) -> Iterator[Plan]:
        rng = np.random.default_rng([self.inks.seed, 6, self.epoch])
        usable = np.array(self.inks.usable)
        blur = rng.uniform(0.93, 1.07, len(usable)) if self.scale else 1.0
        tall = np.ceil(self.inks.heights[usable] / self.inks.multiple)
        order = usable[np.lexsort((self.inks.widths[usable] * blur, tall))]
        batches = [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        if self.scale:
            rng.shuffle(batches)  # type: ignore[arg-type]
            batches = batches[: len(self) * self.world]
        for number, batch in enumerate(batches):
            scale = float(np.exp(rng.uniform(*np.log(self.scale)))) if self.scale else 1.0
            if number % self.world == self.rank:
                yield Plan(tuple(map(int, batch)), self.epoch, scale)


def _boxes(
    strokes: Sequence[Stroke],
    symbols: Sequence[Symbol],
    origin: tuple[float, float],
    scale: float,
    margin: int,
) -> list[npt.NDArray[np.float32]]:
    boxes = []
    for symbol in symbols:
        points = np.concatenate([strokes[index] for index in symbol.strokes])
        low_high = np.stack([points.min(axis=0), points.max(axis=0)])
        boxes.append(((low_high - np.asarray(origin, np.float32)) * scale + margin).astype(np.float32))
    return boxes
