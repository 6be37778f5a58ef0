"""Which ink each token was read from: bounding boxes from the decoder's cross-attention.

The last layer's cross-attention, which training points at the middle of the written symbol (attention
supervision), gives a blot without outline. The outline comes from the ink: its connected components are
assigned to all tokens at once, since a component was written for one symbol. Choosing each token's best
components independently would often take a neighbour's ink: 80 % of CROHME 2014's symbols would get a box
that overlaps the true one by more than half, instead of 98 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from components.ink.raster import Box, Picture
from components.latex.structure import written
from components.latex.tokenizer import spaced
from components.latex.vocabulary import BOS, PAD, SPECIALS, Vocabulary
from components.recognizer.engine import Engine, Floats, KVCache, Memory
from components.recognizer.tensors import padded_shape

_TAKEN = 0.25  # weight of a component that another token has taken: only touching ink is shared
_ALTERNATIVES = 3  # of each token
_PART = 0.02  # an unassigned component joins a token unless another got 1 / this times the attention


@dataclass(frozen=True)
class TokenAlternative:
    """What may stand at a place of the formula, given all that stands before it."""

    token: str
    probability: Annotated[
        float, Field(description="the model's own probability of it after the tokens before; not calibrated")
    ]


@dataclass(frozen=True)
class TokenBox:
    """A token of the LaTeX, and the bounding box of the ink that it was read from."""

    token: str
    start: Annotated[int, Field(description="index in the LaTeX where the token starts")]
    end: Annotated[int, Field(description="index in the LaTeX after the token")]
    box: Annotated[
        Box | None,
        Field(
            description="left, top, right and bottom of its ink, in the units of the ink that was sent or in "
            "pixels of the upright picture; null if the token has no ink of its own, such as braces"
        ),
    ] = None
    alternatives: Annotated[
        tuple[TokenAlternative, ...],
        Field(description="the likeliest tokens at this place, the best first; none for a function name"),
    ] = ()


@dataclass(frozen=True, eq=False)
class Explanation:
    """What the decoder attended to and expected while it wrote a sequence."""

    attention: Floats  # (tokens, cells), the last layer's cross-attention; empty if the engine returns none
    probabilities: Floats  # (tokens, V), of each place given the tokens before


def explain(engine: Engine, memory: Memory, answers: Sequence[Sequence[int]]) -> list[Explanation]:
    """Attention and expectation for each picture's tokens, in one teacher-forced step."""
    tokens = np.full((len(answers), 1 + max(map(len, answers))), PAD, np.int64)
    for row, ids in enumerate(answers):
        tokens[row, : 1 + len(ids)] = [BOS, *ids]
    step = engine.step(tokens, KVCache.empty(memory, 1, capacity=0), memory)
    result = []
    for row, ids in enumerate(answers):
        # Row i is the state while token i was written; the one after the last token belongs to <eos>.
        logits = step.logits[row, : len(ids)].astype(np.float64)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        seen = np.zeros((0, 0), np.float32)
        if step.attention:
            seen = step.attention[-1][row, :, : len(ids), : memory.cells[row]].mean(axis=0)
        result.append(Explanation(seen, probabilities.astype(np.float32)))
    return result


def token_boxes(
    vocabulary: Vocabulary,
    tokens: Sequence[str],
    explanation: Explanation,
    picture: Picture,
    multiple: int,
    min_side: int = 0,
) -> tuple[TokenBox, ...]:
    """Each token with its box in pixels of the picture and its likeliest alternatives; `multiple` and
    `min_side` as in `to_input`."""
    seen, inked = explanation.attention, written(tokens)
    boxes: dict[int, Box | None] = {}
    height, width = padded_shape(picture, multiple, min_side)
    stride = round((height * width / max(seen.shape[1], 1)) ** 0.5)  # cells are square
    if inked and seen.size and height // stride * (width // stride) == seen.shape[1]:
        grid = seen[inked].reshape(-1, height // stride, width // stride)
        boxes = dict(zip(inked, _boxes(grid, stride, picture), strict=True))
    unplaced = [
        TokenBox(token, 0, 0, boxes.get(place), _likeliest(vocabulary, explanation.probabilities[place]))
        for place, token in enumerate(tokens)
    ]
    return located(tokens, unplaced)


def located(tokens: Sequence[str], boxes: Sequence[TokenBox]) -> tuple[TokenBox, ...]:
    """The boxes with the places of their tokens in the LaTeX."""
    pairs = zip(boxes, _spans(tokens), strict=True)
    return tuple(replace(box, start=start, end=end) for box, (start, end) in pairs)


def _likeliest(vocabulary: Vocabulary, probabilities: Floats) -> tuple[TokenAlternative, ...]:
    """The most probable tokens; the end of the formula and unknown tokens are none."""
    known = probabilities.copy()
    known[: len(SPECIALS)] = -1
    best = np.argsort(-known, kind="stable")[:_ALTERNATIVES]
    return tuple(
        TokenAlternative(vocabulary.tokens[i], round(float(known[i]), 6)) for i in best if known[i] >= 0
    )


def _spans(tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The index range of each token in the LaTeX of `detokenize`."""
    end = 0
    for part in spaced(tokens):
        start, end = end, end + len(part)
        if part != " ":
            yield start, end


def _boxes(grid: Floats, stride: int, picture: Picture) -> Iterator[Box | None]:
    """The box around each token's ink by the attention `grid` (tokens, rows, columns); None without ink."""
    ink = (picture < 128).view(np.uint8)
    number, labels = cv2.connectedComponents(ink, connectivity=8)
    rows, columns = np.nonzero(ink)
    seen = _sampled(grid, (rows + 0.5) / stride - 0.5, (columns + 0.5) / stride - 0.5)
    for mine in _shared_out(seen, labels[rows, columns].astype(np.intp) - 1, number - 1):
        x, y = columns[mine], rows[mine]
        yield (float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)) if len(x) else None


def _shared_out(seen: Floats, piece: npt.NDArray[np.intp], pieces: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Assign ink pixels to tokens; `seen` (tokens, pixels) is the attention on them."""
    if not pieces:
        yield from np.zeros(seen.shape, np.bool_)
        return
    totals = np.array([np.bincount(piece, row, pieces) for row in seen], np.float64)
    taken = _taken(totals)
    most_attended = totals.argmax(axis=0)
    owner = np.full(len(piece), -1)
    for number in range(pieces):
        own = piece == number
        takers = np.flatnonzero(taken == number)
        if len(takers):  # more than one: touching ink
            owner[own] = takers[seen[np.ix_(takers, np.flatnonzero(own))].argmax(axis=0)]
        elif totals[most_attended[number], number] >= _PART * totals[most_attended[number]].max():
            owner[own] = most_attended[number]
    for token, row in enumerate(seen):
        mine = owner == token
        # Ink that others attended to more everywhere: take the centre of the token's own attention.
        own = piece == taken[token]
        yield mine if mine.any() else own & (row >= 0.5 * row[own].max())


def _taken(totals: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The component of each token, in order of attention."""
    left, result = totals.copy(), np.zeros(len(totals), np.intp)
    for _ in result:
        token, number = np.unravel_index(left.argmax(), left.shape)
        result[token] = number
        left[:, number] *= _TAKEN
        left[token] = -np.inf
    return result


def _sampled(grid: Floats, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Floats:
    """Sample the grid (tokens, rows, columns) bilinearly: (tokens, places)."""
    y, x = (np.clip(at, 0, side - 1) for at, side in zip((rows, columns), grid.shape[1:], strict=True))
    top, left = y.astype(np.intp), x.astype(np.intp)
    bottom, right = np.minimum(top + 1, grid.shape[1] - 1), np.minimum(left + 1, grid.shape[2] - 1)
    down, across = (y - top).astype(np.float32), (x - left).astype(np.float32)
    above = grid[:, top, left] * (1 - across) + grid[:, top, right] * across
    below = grid[:, bottom, left] * (1 - across) + grid[:, bottom, right] * across
    return np.asarray(above * (1 - down) + below * down, np.float32)
