"""Shards to training batches: every ink is drawn anew, as another hand would write it, each epoch; a
picture without ink is varied as it is.

What a batch holds depends on seed, epoch and index alone, not on the number of loader processes or on
what ran before: a training that goes on from a checkpoint sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from rapidfuzz.distance import Indel
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from components.augmentation.paper import photograph
from components.augmentation.pictures import vary_picture
from components.augmentation.strokes import AugmentConfig, degrade, distort, swap_symbols
from components.augmentation.symbol_substitution import SymbolSubstitution
from components.data.shards import InkTable, mapped_tables, read_table, source_of
from components.ink.ink import Stroke, Symbol
from components.ink.raster import Picture, RasterSettings, bounds, draw_in, frame_at, limit_scale
from components.latex.structure import UNWRITTEN
from components.latex.tokenizer import tokenize
from components.latex.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from components.random_streams import Stream
from components.recognizer.preprocessing import PictureError, prepare_pixels
from components.synthesis.symbol_bank import SymbolBank

NOWHERE = -100  # a cell that no loss looks at

# Training's batches have few sizes: for each that is new, oneDNN makes its kernels, which takes as long as
# the step itself.
_HIGH, _WIDE, _LONG = 16, 32, 16  # their sides are multiples of these, pixels and tokens


@dataclass(frozen=True)
class BatchSpec:
    """Which inks make a batch, in which epoch, and how large they are written (1: as they are).

    An index past the data set's length is the same ink again, varied in another way.
    """

    indices: tuple[int, ...]
    epoch: int
    scale: float


@dataclass(frozen=True)
class Batch:
    """A batch of B pictures with H * W pixels, answers of T tokens, a memory of `cells` cells.

    R is B, or 2 B where answers are written in both directions: then a picture's two rows stand side by side.
    """

    indices: tuple[int, ...]
    has_symbol_targets: bool  # some symbol_targets are known; told here, for to ask a GPU is to wait for it
    pixels: Tensor  # (B, 1, H, W) uint8, ink 255: a quarter of what `pictures` would be to carry about
    tokens: Tensor  # (R, T): from <bos> on, or backwards from <eos> on
    targets: Tensor  # (R, T): to <eos>, or to <bos>
    written: Tensor  # (n,): which of the R * T targets have ink of their own,
    centers: Tensor  # (n, 2): and x, y in cells, of the middle of that
    symbol_targets: Tensor  # (B, cells): the token whose ink is there, <pad> for paper, NOWHERE where unknown

    @property
    def pictures(self) -> Tensor:
        """(B, 1, H, W) float32, as `to_input` makes them."""
        return self.pixels.float() / 255

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with other tensors."""
        tensors = (self.pixels, self.tokens, self.targets, self.written, self.centers, self.symbol_targets)
        return Batch(self.indices, self.has_symbol_targets, *map(change, tensors))

    def to(self, device: torch.device) -> Batch:
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The batch in memory that a GPU fetches by itself; loaders call it."""
        return self.each(Tensor.pin_memory)


class InkDataset(Dataset[Batch]):
    """One split, and more folders of shards with it, to be asked for whole batches.

    Without `variation` the pictures are those of the shards. Inks whose label is longer than `max_tokens`
    are left out of training's batches (`usable`). Symbols that are written anew are those of `bank`, or of
    the split itself where there is none. `weights` say how often an epoch has what is of a source; `sources`
    are their names, the main one first. With a folder for `copies`, shards are mapped (`mapped_tables`)
    instead of read whole; the pages in use apart, an ink then takes some 30 bytes of memory.
    """

    def __init__(
        self,
        folder: Path,
        vocabulary: Vocabulary,
        settings: RasterSettings,
        *,
        more: Sequence[Path] = (),
        bidirectional: bool = False,
        stride: int,
        multiple: int,
        max_tokens: int,
        seed: int,
        copies: Path | None = None,
        variation: AugmentConfig | None = None,
        bank: SymbolBank | None = None,
        sources: Sequence[str] = ("",),
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        tables = [list(_tables(split, copies)) for split in (folder, *more)]
        self.first = sum(map(len, tables[0]))  # so many are of `folder`; the others are synthetic
        self._inks = InkTable(chain.from_iterable(tables))
        self.widths = self._inks.column("width").to_numpy()
        self.heights = self._inks.column("height").to_numpy()
        self.lengths = pc.list_value_length(self._inks.column("tokens")).to_numpy()
        self.weights = _weights(self._inks.column("source"), sources, weights)
        self.vocabulary, self.settings, self.variation = vocabulary, settings, variation
        self.stride, self.multiple, self.seed, self.bidirectional = stride, multiple, seed, bidirectional
        self._max_tokens = max_tokens
        self.usable = np.flatnonzero(self.lengths < max_tokens)
        if (
            variation is not None
            and (variation.swap_symbols or variation.substitute_symbols)
            and bank is None
        ):
            inks = ((self._inks.strokes(i), self._inks.symbols(i)) for i in range(self.first))
            bank = SymbolBank.of_inks(inks)
        self._bank = bank if bank is not None else SymbolBank([])
        known = [token for token in self._bank.tokens if not vocabulary.unknown([token])]
        self._renaming = SymbolSubstitution({token: self._bank.count(token) for token in known})

    def __len__(self) -> int:
        return len(self._inks)

    def __getitem__(self, spec: BatchSpec) -> Batch:
        drawn = [self._drawn(number, spec) for number in spec.indices]
        height = max(picture.shape[0] for picture, *_ in drawn)
        width = max(picture.shape[1] for picture, *_ in drawn)
        high, wide, long = (_HIGH, _WIDE, _LONG) if self.variation else (1, 1, 1)
        rows, columns = _up(_up(height, high), self.multiple), _up(_up(width, wide), self.multiple)
        pixels = np.zeros((len(drawn), 1, rows, columns), np.uint8)
        longest = max(len(label) for _, label, *_ in drawn) + 1
        length = min(_up(longest, long), self._max_tokens)  # the network has no positions beyond
        ways = 2 if self.bidirectional else 1
        tokens = np.full((len(drawn), ways, length + 1), PAD, np.int64)
        centers = np.full((len(drawn), ways, length, 2), np.nan, np.float32)
        symbol_targets = np.full((len(drawn), rows // self.stride, columns // self.stride), PAD, np.int64)
        for row, (picture, label, symbols, boxes) in enumerate(drawn):
            pixels[row, 0, : picture.shape[0], : picture.shape[1]] = 255 - picture
            ids = [BOS, *self.vocabulary.encode(label), EOS]
            written = aligned(label, symbols)
            for way in range(ways):  # from right to left it is the same, from <eos> to <bos>
                tokens[row, way, : len(ids)] = ids[::-1] if way else ids
                for position, symbol in written.items():
                    place = len(label) - 1 - position if way else position
                    centers[row, way, place] = boxes[symbol].mean(axis=0) / self.stride - 0.5
            self._mark(symbol_targets[row], label, symbols, boxes, written)
        rows_of = tokens.reshape(-1, length + 1)
        all_centres = centers.reshape(-1, 2)
        written_at = np.flatnonzero(~np.isnan(all_centres).any(axis=1))
        tensors = (
            pixels,
            rows_of[:, :-1],
            rows_of[:, 1:],
            written_at,
            all_centres[written_at],
            symbol_targets.reshape(len(drawn), -1),
        )
        return Batch(spec.indices, bool((symbol_targets != NOWHERE).any()), *map(torch.from_numpy, tensors))

    def latex(self, index: int) -> str:
        """The normalized label of one ink."""
        label: str = self._inks.cell("latex", index).as_py()
        return label

    def tokens(self, index: int) -> list[str]:
        """The tokens of one ink's label."""
        tokens: list[str] = self._inks.cell("tokens", index).as_py()
        return tokens

    def picture(self, index: int) -> Picture:
        """The picture of one ink, as the shard has it."""
        data = np.frombuffer(self._inks.cell("png", index).as_buffer(), np.uint8)
        picture: Any = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        return np.asarray(picture, np.uint8)

    def _drawn(
        self, number: int, spec: BatchSpec
    ) -> tuple[Picture, list[str], tuple[Symbol, ...], list[npt.NDArray[np.float32]]]:
        """A picture, its label, its symbols, and their boxes ((left, top), (right, bottom)) in pixels."""
        index = number % len(self)
        label = self.tokens(index)
        if self._inks.is_picture(index):
            picture = self.picture(index)
            if self.variation is not None:
                rng = np.random.default_rng([self.seed, spec.epoch, number])
                picture = vary_picture(picture, spec.scale, self.variation, self.settings, rng)
            return picture, label, (), []
        settings, strokes, symbols = self.settings, self._inks.strokes(index), self._inks.symbols(index)
        low, high = bounds(strokes)
        # The scale of the shard's picture, which has one pixel more than the ink, and the margins.
        room = np.array([self.widths[index], self.heights[index]]) - 2 * settings.margin - 1
        scale = float(max(room.max() / max((high - low).max(), 1e-6), 1e-6))
        if self.variation is None:
            where = frame_at(low, high, scale, settings.margin)
            return (
                self.picture(index),
                label,
                symbols,
                _boxes(strokes, symbols, where.origin, scale, settings.margin),
            )
        rng = np.random.default_rng([self.seed, spec.epoch, number])
        share = 0.5 if symbols and rng.random() < self.variation.swap_symbols else 0.0
        anew: set[int] = set()
        if symbols and self.variation.substitute_symbols and rng.random() < self.variation.substitute_symbols:
            label, symbols, anew = self._renamed(label, symbols, rng)
        if share or anew:
            strokes, symbols = swap_symbols(
                strokes, symbols, lambda token: self._other(token, rng), rng, share, anew
            )
        strokes = distort(strokes, settings.symbol / scale, self.variation, rng)
        if self.variation.paper and rng.random() < self.variation.paper:
            found = self._photographed(strokes, symbols, settings.symbol / scale, spec.scale, rng)
            if found is not None:
                return found[0], label, symbols, found[1]
        low, high = bounds(strokes)
        scale = min(scale * spec.scale * rng.uniform(0.95, 1.05), limit_scale(high - low, settings))
        where = frame_at(low, high, scale, settings.margin)
        pen = settings.symbol * rng.uniform(*self.variation.pen)
        picture = degrade(draw_in(strokes, where, settings.margin, pen), self.variation, rng)
        return picture, label, symbols, _boxes(strokes, symbols, where.origin, scale, settings.margin)

    def _photographed(
        self,
        strokes: Sequence[Stroke],
        symbols: Sequence[Symbol],
        symbol: float,
        size: float,
        rng: np.random.Generator,
    ) -> tuple[Picture, list[npt.NDArray[np.float32]]] | None:
        """What preprocessing makes of a photograph of an ink whose symbols are `symbol` units high, `size`
        times as large as the settings say, and its symbols' boxes; None where the ink is not found on it."""
        neighbours = self._inks.strokes(int(rng.integers(len(self))))
        photo = photograph(strokes, symbol, neighbours, rng)
        wanted = max(8, round(self.settings.symbol * size))  # 8 is the least that the settings take
        try:
            prepared = prepare_pixels(photo.pixels, self.settings.model_copy(update={"symbol": wanted}))
        except PictureError:
            return None
        picture, where = prepared.picture, prepared.where
        low, high = bounds(photo.strokes)
        corners = (np.stack([low, high]) - (where.left, where.top)) * where.scale
        loose = wanted / 2
        if (corners[0] < -loose).any() or (corners[1] > np.array(picture.shape[::-1]) + loose).any():
            return None  # something else was taken for the ink
        return picture, _boxes(photo.strokes, symbols, (where.left, where.top), where.scale, 0)

    def _renamed(
        self, label: list[str], symbols: Sequence[Symbol], rng: np.random.Generator
    ) -> tuple[list[str], tuple[Symbol, ...], set[int]]:
        """The label and its symbols with other tokens; and which symbols have to be written anew."""
        written = aligned(label, symbols)
        names = self._renaming.names(label, {p: symbols[s].token for p, s in written.items()}, rng)
        anew = {symbol for place, symbol in written.items() if label[place] in names}
        renamed = (
            Symbol(names[symbol.token], symbol.strokes) if number in anew else symbol
            for number, symbol in enumerate(symbols)
        )
        return [names.get(token, token) for token in label], tuple(renamed), anew

    def _other(self, token: str, rng: np.random.Generator) -> list[Stroke] | None:
        """Somebody's symbol of the same kind."""
        if token not in self._bank:
            return None
        return list(self._bank.draw(token, rng).strokes)

    def _mark(
        self,
        symbol_targets: npt.NDArray[np.int64],
        label: Sequence[str],
        symbols: Sequence[Symbol],
        boxes: Sequence[npt.NDArray[np.float32]],
        written: Mapping[int, int],
    ) -> None:
        """Writes each symbol's number into the cells in the middle of its box; the smaller symbol wins."""
        if not symbols:
            symbol_targets[:] = NOWHERE
            return
        # What the label calls it, where that is known: a fraction's bar is no minus.
        names = [symbol.token for symbol in symbols]
        for position, symbol in written.items():
            if len(names[symbol]) == 1 or names[symbol].startswith("\\"):
                names[symbol] = label[position]
        numbers = [NOWHERE if number == UNK else number for number in self.vocabulary.encode(names)]
        for index in sorted(range(len(symbols)), key=lambda s: -np.ptp(boxes[s], axis=0).prod()):
            low, high = boxes[index] / self.stride
            middle, half = (low + high) / 2, (high - low) * 0.3
            left, top = np.floor(middle - half).astype(int)
            right, bottom = np.floor(middle + half).astype(int) + 1
            symbol_targets[max(top, 0) : bottom, max(left, 0) : right] = numbers[index]


def _tables(folder: Path, copies: Path | None) -> Iterable[pa.Table]:
    columns = ["strokes", "symbols", "png", "width", "height", "latex", "tokens", "source"]
    if copies is None:
        return [read_table(folder, columns)]
    return mapped_tables(folder, columns, copies / folder.name)


def _weights(
    files: pa.ChunkedArray, sources: Sequence[str], weights: Mapping[str, float]
) -> npt.NDArray[np.float64]:
    """How often an epoch has each row, by the source of its file."""
    if not weights:
        return np.ones(len(files))
    folders = pc.replace_substring_regex(files, "/.*", "").combine_chunks().dictionary_encode()
    of_folder = [weights.get(source_of(folder, sources), 1.0) for folder in folders.dictionary.to_pylist()]
    return np.asarray(np.array(of_folder)[folders.indices.to_numpy()], np.float64)


def aligned(label: Sequence[str], symbols: Sequence[Symbol]) -> dict[int, int]:
    r"""Which token of a label was written as which symbol, where both come in the same order.

    What is written with one symbol may be several tokens (`\sin`), and a fraction's bar is a `-` in CROHME.
    Where the two differ, a longest common subsequence is taken: what is not in it has no symbol.
    """
    written = [(token, number) for number, symbol in enumerate(symbols) for token in tokenize(symbol.token)]
    places = [place for place, token in enumerate(label) if token not in UNWRITTEN]
    matching = Indel.opcodes(
        [_BARS.get(label[p], label[p]) for p in places], [_BARS.get(t, t) for t, _ in written]
    )
    return {
        places[code.src_start + offset]: written[code.dest_start + offset][1]
        for code in matching
        if code.tag == "equal"
        for offset in range(code.src_end - code.src_start)
    }


_BARS = {r"\frac": "-"}


class BucketBatchSampler(Sampler[BatchSpec]):
    """Cuts an epoch into batches of inks of about one size, in random order; `world` processes share each
    batch, so that one process or several train on the same batches. Call `set_epoch` before each epoch.

    Of training's inks (`scale` is given) an epoch has as many as there are real ones, each as often as its
    weight says, `passes` times; `synthetic` says which share of them is synthetic.
    """

    def __init__(
        self,
        inks: InkDataset,
        batch: int,
        scale: tuple[float, float] | None,
        rank: int = 0,
        world: int = 1,
        synthetic: Callable[[int], float] = lambda epoch: 0.0,
        passes: int = 1,
    ) -> None:
        self.inks, self.batch, self.scale, self.synthetic = inks, batch, scale, synthetic
        self.passes = passes
        self.rank, self.world, self.epoch = rank, world, 0
        real = inks.usable < inks.first
        self._real, self._synthetic = inks.usable[real], inks.usable[~real]
        self._weights = inks.weights[self._real] if scale else np.ones(len(self._real))
        self._total = sum(round(weight * count) for weight, count in self._counts())

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        if self.scale:  # training drops what does not fill a batch
            return self.passes * (self._total // self.batch or 1)
        full, rest = divmod(len(self._real), self.batch)
        return full + (rest >= self.world or not full)

    def __iter__(self) -> Iterator[BatchSpec]:
        for number in range(self.passes):
            yield from self._pass(self.epoch * self.passes + number)

    def _pass(self, number_of_pass: int) -> Iterator[BatchSpec]:
        rng = np.random.default_rng([self.inks.seed, Stream.BATCHES, number_of_pass])
        usable = self._chosen(rng)
        blur = rng.uniform(0.93, 1.07, len(usable)) if self.scale else 1.0
        rows = usable % len(self.inks)
        tall = np.ceil(self.inks.heights[rows] / self.inks.multiple)
        order = usable[np.lexsort((self.inks.widths[rows] * blur, tall))]
        batches = [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        if self.scale:
            rng.shuffle(batches)  # type: ignore[arg-type]
            batches = [batch for batch in batches if len(batch) >= self.world][: len(self) // self.passes]
        elif len(batches) > 1 and len(batches[-1]) < self.world:  # no process may be left without any
            batches[-2:] = [np.concatenate(batches[-2:])]
        for batch in batches:
            scale = float(np.exp(rng.uniform(*np.log(self.scale)))) if self.scale else 1.0
            yield BatchSpec(tuple(map(int, batch[self.rank :: self.world])), number_of_pass, scale)

    def _chosen(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """The inks of this epoch."""
        real, total = self._weighted(rng), self._total
        count = min(round(self.synthetic(self.epoch) * total), len(self._synthetic)) if self.scale else 0
        if not count:
            return real
        real = rng.choice(real, total - count, replace=False)
        return np.concatenate([real, rng.choice(self._synthetic, count, replace=False)])

    def _counts(self) -> list[tuple[float, int]]:
        """Each weight, and how many of the real inks have it."""
        weights, counts = np.unique(self._weights, return_counts=True)
        return list(zip(weights.tolist(), counts.tolist(), strict=True))

    def _weighted(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """The real inks, each as often as its weight says; a fraction is a share of them, chosen anew."""
        if (self._weights == 1).all():
            return self._real
        chosen = []
        for weight, count in self._counts():
            times, rest = divmod(round(weight * count), count)
            alike = self._real[self._weights == weight]
            chosen += [alike + time * len(self.inks) for time in range(times)]
            chosen.append(np.sort(rng.choice(alike, rest, replace=False)) + times * len(self.inks))
        return np.concatenate(chosen)


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


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
