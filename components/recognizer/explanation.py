"""Which ink each token of an answer was read from.

The decoder's last cross-attention says where it looked as it wrote a token; training points it at the middle
of the symbol that is written (*guidance*): it is a blot and no outline. The outline comes from the ink, whose
connected pieces are shared out among all tokens at once, since a piece was written for one symbol. Each
token's best pieces would be a neighbour's ink far more often: 80 % of CROHME 2014's symbols would get a box
that has more than half in common with the true one, and not 98 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from components.ink.raster import Box, Picture
from components.latex.structure import written
from components.latex.tokenizer import spaced
from components.latex.vocabulary import BOS, PAD
from components.recognizer.engine import Engine, Floats, Memory, Past
from components.recognizer.tensors import padded_shape

_TAKEN = 0.25  # so much does a piece count that another token has taken: only writing that touches is shared
_PART = 0.02  # a piece that nobody took goes with one that was looked at not more than 1 / this times as much


@dataclass(frozen=True)
class Look:
    """A token of an answer, and the ink that it was read from."""

    token: str
    start: int  # where it stands in the LaTeX
    end: int
    box: Box | None = None  # None where it has no ink of its own, or the engine does not tell


def attention(engine: Engine, memory: Memory, answers: Sequence[Sequence[int]]) -> list[Floats]:
    """Where the last layer looked as it wrote each picture's answer, (tokens, cells): all in one step.

    Empty where the engine does not tell.
    """
    tokens = np.full((len(answers), 1 + max(map(len, answers))), PAD, np.int64)
    for row, ids in enumerate(answers):
        tokens[row, : 1 + len(ids)] = [BOS, *ids]
    looked = engine.step(tokens, Past.empty(memory, 1, room=0), memory).looked
    if not looked:
        return [np.zeros((0, 0), np.float32) for _ in answers]
    # Place i is where it looked to write token i; what follows the last token is its end.
    return [
        looked[-1][row, :, : len(ids), : memory.cells[row]].mean(axis=0) for row, ids in enumerate(answers)
    ]


def looks(tokens: Sequence[str], seen: Floats, picture: Picture, multiple: int) -> tuple[Look, ...]:
    """Each token with its box, in pixels of the picture, from what `attention` found."""
    inked = written(tokens)
    boxes: dict[int, Box | None] = {}
    height, width = padded_shape(picture, multiple)
    stride = round((height * width / max(seen.shape[1], 1)) ** 0.5)  # cells are square
    if inked and seen.size and height // stride * (width // stride) == seen.shape[1]:
        grid = seen[inked].reshape(-1, height // stride, width // stride)
        boxes = dict(zip(inked, _boxes(grid, stride, picture), strict=True))
    spans = zip(tokens, _spans(tokens), strict=True)
    return tuple(Look(token, *span, boxes.get(place)) for place, (token, span) in enumerate(spans))


def _spans(tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where each token stands in what `detokenize` makes of them."""
    end = 0
    for part in spaced(tokens):
        start, end = end, end + len(part)
        if part != " ":
            yield start, end


def _boxes(grid: Floats, stride: int, picture: Picture) -> Iterator[Box | None]:
    """Around each token's share of the ink, by what `grid` (tokens, rows, columns) says; None: there is no
    ink at all."""
    ink = (picture < 128).view(np.uint8)
    number, labels = cv2.connectedComponents(ink, connectivity=8)
    rows, columns = np.nonzero(ink)
    seen = _sampled(grid, (rows + 0.5) / stride - 0.5, (columns + 0.5) / stride - 0.5)
    for mine in _shared_out(seen, labels[rows, columns].astype(np.intp) - 1, number - 1):
        x, y = columns[mine], rows[mine]
        yield (float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)) if len(x) else None


def _shared_out(seen: Floats, piece: npt.NDArray[np.intp], pieces: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Which pixels of ink are each token's; `seen` (tokens, pixels): how much it looked at them."""
    if not pieces:
        yield from np.zeros(seen.shape, np.bool_)
        return
    totals = np.array([np.bincount(piece, row, pieces) for row in seen], np.float64)
    taken = _taken(totals)
    looked_most = totals.argmax(axis=0)
    owner = np.full(len(piece), -1)
    for number in range(pieces):
        own = piece == number
        takers = np.flatnonzero(taken == number)
        if len(takers):  # more than one: writing that touches
            owner[own] = takers[seen[np.ix_(takers, np.flatnonzero(own))].argmax(axis=0)]
        elif totals[looked_most[number], number] >= _PART * totals[looked_most[number]].max():
            owner[own] = looked_most[number]
    for token, row in enumerate(seen):
        mine = owner == token
        # What others saw more of everywhere: the middle of where it looked.
        own = piece == taken[token]
        yield mine if mine.any() else own & (row >= 0.5 * row[own].max())


def _taken(totals: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The piece of each token: the surest chooses first."""
    left, result = totals.copy(), np.zeros(len(totals), np.intp)
    for _ in result:
        token, number = np.unravel_index(left.argmax(), left.shape)
        result[token] = number
        left[:, number] *= _TAKEN
        left[token] = -np.inf
    return result


def _sampled(grid: Floats, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Floats:
    """The grid (tokens, rows, columns) at places between its cells' middles: (tokens, places)."""
    y, x = (np.clip(at, 0, side - 1) for at, side in zip((rows, columns), grid.shape[1:], strict=True))
    top, left = y.astype(np.intp), x.astype(np.intp)
    bottom, right = np.minimum(top + 1, grid.shape[1] - 1), np.minimum(left + 1, grid.shape[2] - 1)
    down, across = (y - top).astype(np.float32), (x - left).astype(np.float32)
    above = grid[:, top, left] * (1 - across) + grid[:, top, right] * across
    below = grid[:, bottom, left] * (1 - across) + grid[:, bottom, right] * across
    return np.asarray(above * (1 - down) + below * down, np.float32)
