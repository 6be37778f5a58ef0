"""The recogniser: a Swin encoder looks at the picture, a Transformer decoder writes LaTeX.

    picture (B, 1, H, W) ─ stem ─ Swin stages ─ + 2-D positions ─► memory (B, cells, width)
    tokens  (B, T) ─ embedding + positions ─ decoder layers, each looking at the memory ─► logits (B, T, V)

Swin: Liu et al. 2021 (arXiv 2103.14030), by timm. Decoder: Vaswani et al. 2017, pre-norm. 2-D sinusoidal
positions: as in BTTR (Zhao et al. 2021). Two helpers teach a small model to look, where the data say which
strokes are which symbol: *spotting* names the symbol at each cell of the memory; *guidance* points the last
layer's cross-attention at the symbol that is being written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.model.encoder import build_encoder
from components.params import ModelParams


@dataclass(frozen=True)
class Output:
    """What a training step needs."""

    logits: Tensor  # (B, T, V)
    attention: Tensor  # (B, T, cells): the last layer's cross-attention, mean of its heads
    spots: Tensor  # (B, cells, V): which symbol is here


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
            DecoderLayer(width, params.decoder_heads, params.dropout) for _ in range(params.decoder_layers)
        )
        self.layers = cast("Sequence[DecoderLayer]", nn.ModuleList(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        self.dropout = nn.Dropout(params.dropout)
        nn.init.normal_(self.embed.weight, std=width**-0.5)

    def forward(self, pictures: Tensor, tokens: Tensor) -> Output:
        """Reads with the answer's tokens given: pictures (B, 1, H, W), tokens (B, T) from <bos> on."""
        memory = self.encode(pictures)
        keys, values = self.cross(memory)
        x = self._embedded(tokens, 0)
        attention = x.new_zeros(())
        for number, layer in enumerate(self.layers):
            last = number == len(self.layers) - 1
            x, attention = layer(x, keys[:, number], values[:, number], weights=last)
        return Output(self.head(self.norm(x)), attention, self.spot(memory))

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 1, H, W), ink 1 and paper 0, to memory (B, cells, width)."""
        seen = self.project(self.encoder(pictures))  # (B, H / stride, W / stride, width)
        seen = seen + grid_positions(seen.shape[1], seen.shape[2], seen.shape[3], seen)
        memory: Tensor = self.memory_norm(seen.flatten(1, 2))
        return memory

    def cross(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all layers' cross-attention, each (B, layers, heads, cells, head width)."""
        pairs = [layer.cross.keys_values(memory) for layer in self.layers]
        return torch.stack([k for k, _ in pairs], 1), torch.stack([v for _, v in pairs], 1)

    def step(
        self,
        tokens: Tensor,
        position: Tensor,
        self_keys: Tensor,
        self_values: Tensor,
        cross_keys: Tensor,
        cross_values: Tensor,
        cells: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One token more: tokens (B,) at `position`, with the keys and values of all before it,
        (B, layers, heads, position, head width). Of a row's memory the first `cells` (B,) count: pictures of
        different size share a step. Returns logits (B, V) and the grown keys and values."""
        seen = torch.arange(cross_keys.shape[3], device=cells.device) < cells[:, None, None, None]
        x = self.embed(tokens)[:, None] * math.sqrt(self.embed.embedding_dim) + self.places[position]
        keys, values = [], []
        for number, layer in enumerate(self.layers):
            x, k, v = layer.step(
                x,
                self_keys[:, number],
                self_values[:, number],
                cross_keys[:, number],
                cross_values[:, number],
                seen,
            )
            keys.append(k)
            values.append(v)
        logits: Tensor = self.head(self.norm(x))
        return logits[:, 0], torch.stack(keys, 1), torch.stack(values, 1)

    def _embedded(self, tokens: Tensor, start: int) -> Tensor:
        x = self.embed(tokens) * math.sqrt(self.embed.embedding_dim)
        embedded: Tensor = self.dropout(x + self.places[start : start + tokens.shape[1]])
        return embedded


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward; each normalised before and added after."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.own = Attention(width, heads)
        self.cross = Attention(width, heads)
        self.norms = cast("Sequence[nn.LayerNorm]", nn.ModuleList(nn.LayerNorm(width) for _ in range(3)))
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, weights: bool) -> tuple[Tensor, Tensor]:
        normed = self.norms[0](x)
        x = x + self.dropout(self.own(normed, *self.own.keys_values(normed), causal=True))
        normed = self.norms[1](x)
        looked, attention = self.cross.look(normed, keys, values, weights)
        x = x + self.dropout(looked)
        return x + self.dropout(self.feed(self.norms[2](x))), attention

    def step(
        self, x: Tensor, own_keys: Tensor, own_values: Tensor, keys: Tensor, values: Tensor, seen: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        normed = self.norms[0](x)
        k, v = self.own.keys_values(normed)
        own_keys, own_values = torch.cat([own_keys, k], 2), torch.cat([own_values, v], 2)
        x = x + self.own(normed, own_keys, own_values)
        x = x + self.cross(self.norms[1](x), keys, values, seen)
        return x + self.feed(self.norms[2](x)), own_keys, own_values


class Attention(nn.Module):
    """Multi-head attention whose keys and values can be made once and kept."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Looks from x (B, n, width) at keys and values (B, heads, m, head width), where `seen` is true."""
        query = self._split(self.query(x))
        return self._merged(F.scaled_dot_product_attention(query, keys, values, seen, is_causal=causal))

    def look(self, x: Tensor, keys: Tensor, values: Tensor, weights: bool) -> tuple[Tensor, Tensor]:
        """As forward, and where it looked, (B, T, cells), where `weights` asks for it (else a zero)."""
        if not weights:
            return self(x, keys, values), x.new_zeros(())
        query = self._split(self.query(x))
        attention = (query @ keys.transpose(2, 3) / math.sqrt(query.shape[3])).softmax(dim=3)
        return self._merged(attention @ values), attention.mean(dim=1)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of x (B, n, width), each (B, heads, n, head width)."""
        keys, values = self.key_value(x).chunk(2, dim=2)
        return self._split(keys), self._split(values)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

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
