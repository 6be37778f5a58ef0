"""The recogniser: a Swin encoder looks at the picture, a Transformer decoder writes LaTeX.

    picture (B, 1, H, W) ─ stem ─ Swin stages ─ + 2-D positions ─► memory (B, cells, width)
    tokens  (R, T) ─ embedding + positions ─ decoder layers, each looking at the memory ─► logits (R, T, V)

Swin: Liu et al. 2021 (arXiv 2103.14030), by timm. Decoder: Vaswani et al. 2017, pre-norm. 2-D sinusoidal
positions, and one decoder that writes in both directions (from right to left it begins with <eos> and ends
with <bos>): BTTR (Zhao et al. 2021, arXiv 2105.02412). Coverage, what was looked at before: CoMER (Zhao and
Gao 2022, arXiv 2207.04410), here the linear part alone, which costs a tenth. Two helpers teach a small model
to look, where the data say which strokes are which symbol: *spotting* names the symbol at each cell of the
memory; *guidance* points the last layer's cross-attention at the symbol that is being written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from components.config import ModelParams
from components.model.encoder import build_encoder


@dataclass(frozen=True)
class Output:
    """What a training step needs. R rows are B pictures times the directions that are written."""

    logits: Tensor  # (R, T, V)
    attention: Tensor  # (R, T, cells): the last layer's cross-attention, mean of its heads
    spots: Tensor  # (B, cells, V): which symbol is here


@dataclass(frozen=True)
class Memory:
    """What the decoder looks at: of each layer, the keys and values of its cross-attention. Keys stand
    upright, as the product with a query wants them: no step has to turn them."""

    keys: tuple[Tensor, ...]  # (B, heads, head width, cells)
    values: tuple[Tensor, ...]  # (B, heads, cells, head width)
    seen: Tensor | None = None  # (B, 1, 1, cells): which cells are a picture's own; None: all


@dataclass(frozen=True)
class Past:
    """What the decoder remembers of the tokens before `position`, of each layer."""

    keys: tuple[Tensor, ...]  # (R, heads, head width, room): of its self-attention; only `position` count
    values: tuple[Tensor, ...]  # (R, heads, room, head width)
    looked: tuple[
        Tensor, ...
    ]  # (R, heads, cells): the sum of its cross-attention; of all layers but the last
    position: Tensor  # (): how many tokens


@dataclass(frozen=True)
class Rows:
    """How rows of n tokens lie beside their pictures: equally many of each, side by side. Sizes are looked up
    once a step; an exported graph would look them up again for each layer."""

    pictures: int
    count: int
    n: int
    cells: int

    def by_picture(self, looked: Tensor) -> Tensor:
        """(R, heads, n, cells) to (B, heads, rows of a picture * n, cells)."""
        parted = looked.reshape(self.pictures, -1, looked.shape[1], self.n, self.cells).transpose(1, 2)
        return parted.reshape(self.pictures, looked.shape[1], -1, self.cells)

    def by_row(self, looked: Tensor) -> Tensor:
        """And back."""
        parted = looked.reshape(self.pictures, looked.shape[1], -1, self.n, self.cells).transpose(1, 2)
        return parted.reshape(self.count, looked.shape[1], self.n, self.cells)


@dataclass(frozen=True)
class Step:
    """What n tokens more give: the next token, and what is to be remembered of them."""

    logits: Tensor  # (R, n, V)
    keys: tuple[Tensor, ...]  # (R, heads, head width, n)
    values: tuple[Tensor, ...]  # (R, heads, n, head width)
    looked: tuple[Tensor, ...]  # (R, heads, n, cells): where each layer looked


class Recogniser(nn.Module):
    """Swin encoder and Transformer decoder over a vocabulary of `vocabulary` tokens."""

    places: Tensor  # (max_tokens + 1, width): positions in the answer

    def __init__(self, params: ModelParams, vocabulary: int) -> None:
        super().__init__()
        width = params.decoder_width
        self.params = params
        self.encoder = build_encoder(params)
        self.stride = self.encoder.stride  # pixels a cell
        self.multiple = self.encoder.multiple  # the sides of a picture are multiples of this
        self.project = nn.Linear(self.encoder.width, width)
        self.memory_norm = nn.LayerNorm(width)
        self.spot = nn.Linear(width, vocabulary)
        self.embed = nn.Embedding(vocabulary, width)
        self.register_buffer("places", _sinusoids(params.max_tokens + 1, width), persistent=False)
        layers = (
            DecoderLayer(width, params.decoder_heads, params.dropout, params.coverage and number > 0)
            for number in range(params.decoder_layers)
        )
        self.layers = cast("Sequence[DecoderLayer]", nn.ModuleList(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        self.dropout = nn.Dropout(params.dropout)
        nn.init.normal_(self.embed.weight, std=width**-0.5)

    def forward(self, pictures: Tensor, tokens: Tensor) -> Output:
        """Reads with the answers' tokens given: pictures (B, 1, H, W), tokens (R, T) from the first one on;
        rows of one picture stand side by side."""
        memory = self.encode(pictures)
        step = self.decode(tokens, self.nothing(memory, len(tokens)), self.cross(memory))
        return Output(step.logits, step.looked[-1].mean(dim=1), self.spot(memory))

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 1, H, W), ink 1 and paper 0, to memory (B, cells, width)."""
        seen = self.project(self.encoder(pictures))  # (B, H / stride, W / stride, width)
        seen = seen + grid_positions(seen.shape[1], seen.shape[2], seen.shape[3], seen)
        memory: Tensor = self.memory_norm(seen.flatten(1, 2))
        return memory

    def cross(self, memory: Tensor) -> Memory:
        """The keys and values that all steps share."""
        keys, values = zip(*(layer.cross.keys_values(memory) for layer in self.layers), strict=True)
        return Memory(keys, values)

    def nothing(self, memory: Tensor, rows: int) -> Past:
        """What is remembered before the first token."""
        layers, heads = len(self.layers), self.params.decoder_heads
        keys = memory.new_zeros(rows, heads, memory.shape[2] // heads, 0)
        looked = memory.new_zeros(rows, heads, memory.shape[1])
        position = torch.zeros((), dtype=torch.int64, device=memory.device)
        return Past((keys,) * layers, (keys.transpose(2, 3),) * layers, (looked,) * (layers - 1), position)

    def decode(self, tokens: Tensor, past: Past, memory: Memory) -> Step:
        """n tokens more: tokens (R, n), R = B * the rows of each picture. Training and re-scoring give a
        whole answer at once, a search one token at a time: the same computation."""
        count = tokens.shape[1]
        rows = Rows(memory.keys[0].shape[0], tokens.shape[0], count, memory.keys[0].shape[3])
        where = past.position + torch.arange(count, device=tokens.device)
        x = self.dropout(self.embed(tokens) * math.sqrt(self.embed.embedding_dim) + self.places[where])
        # A token sees what is remembered, and of its own step what is not after it.
        known = torch.arange(past.keys[0].shape[3], device=tokens.device) < past.position
        causal = torch.ones(count, count, dtype=torch.bool, device=tokens.device).tril()
        own_seen = torch.cat([known.expand(count, -1), causal], dim=1)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        looked: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            normed = layer.norms[0](x)
            k, v = layer.own.keys_values(normed)
            x = x + layer.dropout(
                layer.own.remember(normed, past.keys[number], past.values[number], k, v, own_seen)
            )
            # Where the layer below looked before each of the n tokens.
            bias = (
                layer.covered(past.looked[number - 1][:, :, None] + looked[-1].cumsum(dim=2) - looked[-1])
                if layer.covered is not None
                else None
            )
            seen, attention = layer.cross.look(
                layer.norms[1](x), memory.keys[number], memory.values[number], memory.seen, bias, rows
            )
            x = x + layer.dropout(seen)
            x = x + layer.dropout(layer.feed(layer.norms[2](x)))
            keys.append(k)
            values.append(v)
            looked.append(attention)
        return Step(self.head(self.norm(x)), tuple(keys), tuple(values), tuple(looked))


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward; each normalised before and added after."""

    def __init__(self, width: int, heads: int, dropout: float, coverage: bool) -> None:
        super().__init__()
        self.own = Attention(width, heads)
        self.cross = Attention(width, heads)
        self.covered = Coverage(heads) if coverage else None
        self.norms = cast("Sequence[nn.LayerNorm]", nn.ModuleList(nn.LayerNorm(width) for _ in range(3)))
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)


class Coverage(nn.Module):
    """What the layer below looked at before, as a bias of where to look now."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.mix = nn.Linear(heads, heads, bias=False)
        nn.init.zeros_(self.mix.weight)  # at first it says nothing

    def forward(self, looked: Tensor) -> Tensor:
        """looked (R, heads, n, cells): of each cell the sum of the attention that it had. So is the bias."""
        bias: Tensor = (self.mix.weight @ looked.flatten(2)).reshape_as(looked)
        return bias


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be made once and kept."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def remember(
        self, x: Tensor, past_keys: Tensor, past_values: Tensor, keys: Tensor, values: Tensor, seen: Tensor
    ) -> Tensor:
        """Looks from x (R, n, width) at what is remembered, `room` tokens, and at its own step's n, where
        `seen` (n, room + n) is true. What is remembered is not copied."""
        query = self._split(self.query(x)) * self.scale
        scores = torch.cat([query @ past_keys, query @ keys], dim=3)
        weights = scores.masked_fill(~seen, -torch.inf).softmax(dim=3)
        before, own = torch.split(weights, [past_keys.shape[3], keys.shape[3]], dim=3)
        return self._merged(before @ past_values + own @ values)

    def look(
        self, x: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None, bias: Tensor | None, rows: Rows
    ) -> tuple[Tensor, Tensor]:
        """Looks from x (R, n, width) at the B pictures' keys and values, which the rows of a picture share;
        returns that and where it looked (R, heads, n, cells). So is the bias."""
        width = self.out.in_features
        query = self.query(x).reshape(rows.pictures, -1, self.heads, width // self.heads).transpose(1, 2)
        scores = (query * self.scale) @ keys  # (B, heads, rows of a picture * n, cells)
        if bias is not None:
            scores = scores + rows.by_picture(bias)
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        weights = scores.softmax(dim=3)
        found = (weights @ values).transpose(1, 2).reshape(rows.count, rows.n, width)
        return self.out(found), rows.by_row(weights)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (R, heads, head width, n) and values (R, heads, n, head width) of x (R, n, width)."""
        keys, values = torch.split(self.key_value(x), self.out.in_features, dim=2)
        return self._split(keys).transpose(2, 3), self._split(values)

    def _split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, 2, (self.heads, -1)).transpose(1, 2)

    def _merged(self, x: Tensor) -> Tensor:
        merged: Tensor = self.out(x.transpose(1, 2).flatten(2))
        return merged


def grid_positions(rows: int, columns: int, width: int, like: Tensor) -> Tensor:
    """2-D sinusoidal positions (rows, columns, width): half of the channels tell the row, half the column."""
    half = width // 2
    y = _angles(torch.arange(rows, device=like.device, dtype=like.dtype), half)
    x = _angles(torch.arange(columns, device=like.device, dtype=like.dtype), width - half)
    return torch.cat([y[:, None].expand(-1, columns, -1), x[None].expand(rows, -1, -1)], dim=2)


def _sinusoids(length: int, width: int) -> Tensor:
    return _angles(torch.arange(length, dtype=torch.float32), width)


def _angles(positions: Tensor, width: int) -> Tensor:
    frequency = torch.exp(
        torch.arange(0, width, 2, device=positions.device, dtype=positions.dtype)
        * (-math.log(10000.0) / width)
    )
    angle = positions[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width]
