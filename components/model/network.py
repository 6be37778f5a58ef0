"""The network: a Swin encoder reads the picture, a Transformer decoder writes LaTeX.

    picture (B, 1, H, W) ─ stem ─ Swin stages ─ + 2-D positions ─► memory (B, cells, width)
    tokens  (R, T) ─ embedding + positions ─ decoder layers with cross-attention ─► logits (R, T, V)

Swin: Liu et al. 2021 (arXiv 2103.14030), from timm. Decoder: Vaswani et al. 2017, pre-norm. 2-D sinusoidal
positions, and one decoder that writes in both directions (right to left from <eos> to <bos>): BTTR (Zhao et
al. 2021, arXiv 2105.02412). Coverage, the attention that each cell has had so far: CoMER (Zhao and Gao 2022,
arXiv 2207.04410), here only its linear part, which costs a tenth. Where the data say which strokes belong to
which symbol, two auxiliary losses help a small model to attend: the *symbol loss* classifies the symbol at
each cell of the memory; *attention supervision* points the last layer's cross-attention at the symbol that is
being written.
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
    symbol_logits: Tensor  # (B, cells, V): which symbol is in this cell


@dataclass(frozen=True)
class ProjectedMemory:
    """Keys and values of each layer's cross-attention, computed once a picture. Keys are stored transposed,
    as the product with a query needs them."""

    keys: tuple[Tensor, ...]  # (B, heads, head width, cells)
    values: tuple[Tensor, ...]  # (B, heads, cells, head width)
    mask: Tensor | None = None  # (B, 1, 1, cells): which cells belong to the picture; None: all


@dataclass(frozen=True)
class DecoderCache:
    """What each layer has computed of the tokens before `position`."""

    keys: tuple[Tensor, ...]  # (R, heads, head width, capacity): of self-attention; `position` are valid
    values: tuple[Tensor, ...]  # (R, heads, capacity, head width)
    coverage: tuple[Tensor, ...]  # (R, heads, cells): summed cross-attention of all layers but the last
    position: Tensor  # (): number of tokens


@dataclass(frozen=True)
class RowLayout:
    """How rows of n tokens lie beside their pictures: equally many rows each, side by side. The sizes are
    computed once a step; an exported graph would compute them again in each layer."""

    pictures: int
    count: int
    n: int
    cells: int

    def by_picture(self, attention: Tensor) -> Tensor:
        """(R, heads, n, cells) to (B, heads, rows of a picture * n, cells)."""
        heads = attention.shape[1]
        parted = attention.reshape(self.pictures, -1, heads, self.n, self.cells).transpose(1, 2)
        return parted.reshape(self.pictures, heads, -1, self.cells)

    def by_row(self, attention: Tensor) -> Tensor:
        """The inverse of `by_picture`."""
        heads = attention.shape[1]
        parted = attention.reshape(self.pictures, heads, -1, self.n, self.cells).transpose(1, 2)
        return parted.reshape(self.count, heads, self.n, self.cells)


@dataclass(frozen=True)
class DecoderStep:
    """The decoder's output for n tokens, and what the cache has to keep of them."""

    logits: Tensor  # (R, n, V)
    keys: tuple[Tensor, ...]  # (R, heads, head width, n)
    values: tuple[Tensor, ...]  # (R, heads, n, head width)
    attention: tuple[Tensor, ...]  # (R, heads, n, cells): cross-attention of each layer


class EncoderDecoder(nn.Module):
    """Swin encoder and Transformer decoder over a vocabulary of `vocabulary` tokens."""

    positions: Tensor  # (max_tokens + 1, width): of tokens

    def __init__(self, params: ModelParams, vocabulary: int) -> None:
        super().__init__()
        width = params.decoder_width
        self.params = params
        self.encoder = build_encoder(params)
        self.stride = self.encoder.stride  # pixels a cell
        self.multiple = self.encoder.multiple  # the sides of a picture are multiples of this
        self.project = nn.Linear(self.encoder.width, width)
        self.memory_norm = nn.LayerNorm(width)
        self.symbol_head = nn.Linear(width, vocabulary)
        self.embed = nn.Embedding(vocabulary, width)
        self.register_buffer("positions", _sinusoids(params.max_tokens + 1, width), persistent=False)
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
        """Teacher forcing: pictures (B, 1, H, W), tokens (R, T) from the first one on; rows of one picture
        are neighbours."""
        memory = self.encode(pictures)
        step = self.decode(tokens, self.empty_cache(memory, len(tokens)), self.project_memory(memory))
        return Output(step.logits, step.attention[-1].mean(dim=1), self.symbol_head(memory))

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 1, H, W), ink 1 and paper 0, to memory (B, cells, width)."""
        grid = self.project(self.encoder(pictures))  # (B, H / stride, W / stride, width)
        grid = grid + grid_positions(grid.shape[1], grid.shape[2], grid.shape[3], grid)
        memory: Tensor = self.memory_norm(grid.flatten(1, 2))
        return memory

    def project_memory(self, memory: Tensor) -> ProjectedMemory:
        """The keys and values of cross-attention, which all steps share."""
        keys, values = zip(*(layer.cross_attention.keys_values(memory) for layer in self.layers), strict=True)
        return ProjectedMemory(keys, values)

    def empty_cache(self, memory: Tensor, rows: int) -> DecoderCache:
        """The cache before the first token."""
        layers, heads = len(self.layers), self.params.decoder_heads
        keys = memory.new_zeros(rows, heads, memory.shape[2] // heads, 0)
        coverage = memory.new_zeros(rows, heads, memory.shape[1])
        position = torch.zeros((), dtype=torch.int64, device=memory.device)
        return DecoderCache(
            (keys,) * layers, (keys.transpose(2, 3),) * layers, (coverage,) * (layers - 1), position
        )

    def decode(self, tokens: Tensor, cache: DecoderCache, memory: ProjectedMemory) -> DecoderStep:
        """Decode n more tokens (R, n), R = B * rows of each picture. Training and re-scoring pass whole
        sequences, the search one token at a time: the same computation."""
        count = tokens.shape[1]
        rows = RowLayout(memory.keys[0].shape[0], tokens.shape[0], count, memory.keys[0].shape[3])
        where = cache.position + torch.arange(count, device=tokens.device)
        x = self.dropout(self.embed(tokens) * math.sqrt(self.embed.embedding_dim) + self.positions[where])
        # A token attends to the cache, and within its own step to what is not after it.
        cached = torch.arange(cache.keys[0].shape[3], device=tokens.device) < cache.position
        causal = torch.ones(count, count, dtype=torch.bool, device=tokens.device).tril()
        mask = torch.cat([cached.expand(count, -1), causal], dim=1)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        attentions: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            normed = layer.norms[0](x)
            k, v = layer.self_attention.keys_values(normed)
            x = x + layer.dropout(
                layer.self_attention.attend_cached(
                    normed, cache.keys[number], cache.values[number], k, v, mask
                )
            )
            # What the layer below attended to before each of the n tokens.
            bias = (
                layer.coverage(
                    cache.coverage[number - 1][:, :, None] + attentions[-1].cumsum(dim=2) - attentions[-1]
                )
                if layer.coverage is not None
                else None
            )
            attended, attention = layer.cross_attention.attend(
                layer.norms[1](x), memory.keys[number], memory.values[number], memory.mask, bias, rows
            )
            x = x + layer.dropout(attended)
            x = x + layer.dropout(layer.feed_forward(layer.norms[2](x)))
            keys.append(k)
            values.append(v)
            attentions.append(attention)
        return DecoderStep(self.head(self.norm(x)), tuple(keys), tuple(values), tuple(attentions))


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward; pre-norm, each with a residual connection."""

    def __init__(self, width: int, heads: int, dropout: float, coverage: bool) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.coverage = Coverage(heads) if coverage else None
        self.norms = cast("Sequence[nn.LayerNorm]", nn.ModuleList(nn.LayerNorm(width) for _ in range(3)))
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)


class Coverage(nn.Module):
    """The attention of the layer below so far, as a bias of this layer's attention."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.mix = nn.Linear(heads, heads, bias=False)
        nn.init.zeros_(self.mix.weight)  # no bias at first

    def forward(self, coverage: Tensor) -> Tensor:
        """Coverage (R, heads, n, cells), the summed attention of each cell, to a bias of the same shape."""
        bias: Tensor = (self.mix.weight @ coverage.flatten(2)).reshape_as(coverage)
        return bias


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be computed once and cached."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def attend_cached(
        self, x: Tensor, past_keys: Tensor, past_values: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> Tensor:
        """Attend from x (R, n, width) to the cache of `capacity` tokens and to this step's n, where `mask`
        (n, capacity + n) is true. The cache is not copied."""
        query = self._split(self.query(x)) * self.scale
        scores = torch.cat([query @ past_keys, query @ keys], dim=3)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=3)
        before, own = torch.split(weights, [past_keys.shape[3], keys.shape[3]], dim=3)
        return self._merged(before @ past_values + own @ values)

    def attend(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        bias: Tensor | None,
        rows: RowLayout,
    ) -> tuple[Tensor, Tensor]:
        """Attend from x (R, n, width) to the B pictures' keys and values, which the rows of a picture share;
        returns the result and the attention (R, heads, n, cells), which is also the shape of `bias`."""
        width = self.out.in_features
        query = self.query(x).reshape(rows.pictures, -1, self.heads, width // self.heads).transpose(1, 2)
        scores = (query * self.scale) @ keys  # (B, heads, rows of a picture * n, cells)
        if bias is not None:
            scores = scores + rows.by_picture(bias)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
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
