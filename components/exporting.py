"""PyTorch to ONNX: the encoder, and one step of the decoder, for any number and size of pictures.

By tracing (`dynamo=False`): a second. The newer exporter gives the same graphs, but takes a minute to reason
about the sizes of shifted windows, and leaves paths of the machine in the file. Tracing turns what Python
computes of a size into a constant without a word; that is why `stages.export` compares before it accepts.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformerBlock, window_partition
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from components.model.recogniser import Recogniser

Axes = dict[int, str]  # names of the axes that are of any size

_CROSS = {0: "batch", 3: "cells"}
_SELF = {0: "batch", 3: "length"}


def export_encoder(model: Recogniser, path: Path, opset: int) -> None:
    """Writes `pictures` (B, 1, H, W) → `cross_keys`, `cross_values` (B, layers, heads, cells, dh).

    H and W are multiples of `model.multiple`. The model must be in evaluation mode.
    """
    picture = torch.zeros(2, 1, 2 * model.multiple, 3 * model.multiple)
    inputs: dict[str, tuple[Tensor, Axes]] = {"pictures": (picture, {0: "batch", 2: "height", 3: "width"})}
    _export(_Encoder(model), path, opset, inputs, {"cross_keys": _CROSS, "cross_values": _CROSS})


def export_decoder(model: Recogniser, path: Path, opset: int) -> None:
    """Writes one step: `tokens` (B,), `position` (), the cached keys and values, and how many `cells` (B,) of
    the memory are a row's own, to `logits` (B, V) and `next_keys`, `next_values`, which are `self_keys`,
    `self_values` (B, layers, heads, t, dh) with t + 1."""
    with torch.inference_mode():
        keys, values = model.cross(model.encode(torch.zeros(2, 1, model.multiple, 2 * model.multiple)))
    own = (*keys.shape[:3], 5, keys.shape[4])
    inputs: dict[str, tuple[Tensor, Axes]] = {
        "tokens": (torch.ones(2, dtype=torch.int64), {0: "batch"}),
        "position": (torch.tensor(5), {}),
        "self_keys": (torch.zeros(own), _SELF),
        "self_values": (torch.zeros(own), _SELF),
        "cross_keys": (keys.clone(), _CROSS),
        "cross_values": (values.clone(), _CROSS),
        "cells": (torch.full((2,), keys.shape[3]), {0: "batch"}),
    }
    outputs = {"logits": {0: "batch"}, "next_keys": _SELF, "next_values": _SELF}
    _export(_Step(model), path, opset, inputs, outputs)


class _Encoder(nn.Module):
    def __init__(self, model: Recogniser) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        for block in self.model.modules():
            if isinstance(block, SwinTransformerBlock | SwinTransformerV2Block) and any(block.shift_size):
                block.get_attn_mask = partial(_shift_mask, block)  # type: ignore[method-assign]

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        with _Rolling():
            return self.model.cross(self.model.encode(pictures))


class _Rolling(TorchFunctionMode):
    """`torch.roll` by indices. Traced as it is, it becomes two slices, which do nothing where the shift is
    larger than the side: a picture may be smaller than half a window."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _roll(*args, **kwargs) if func is torch.roll else func(*args, **(kwargs or {}))


def _roll(x: Tensor, shifts: Sequence[int], dims: Sequence[int]) -> Tensor:
    for shift, dim in zip(shifts, dims, strict=True):
        x = x.index_select(dim, (torch.arange(x.shape[dim], device=x.device) - shift) % x.shape[dim])
    return x


def _shift_mask(block: Any, x: Tensor) -> Tensor:
    """What timm's `get_attn_mask` computes of x (B, H, W, C), in a way that tracing keeps for any H and W:
    -100 between cells that only the cyclic shift brought into one window, else 0."""

    def bands(n: int, window: int, shift: int) -> Tensor:
        index = torch.arange(n, device=x.device)
        return (index >= n - window).to(x.dtype) + (index >= n - shift).to(x.dtype)

    (high, wide), (down, right) = block.window_size, block.shift_size
    regions = 3 * bands(x.shape[1], high, down)[:, None] + bands(x.shape[2], wide, right)
    windows = window_partition(regions[None, :, :, None], block.window_size).view(-1, block.window_area)
    apart: Tensor = windows[:, None] != windows[:, :, None]
    return apart.to(x.dtype) * -100


class _Step(nn.Module):
    def __init__(self, model: Recogniser) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        self_keys: Tensor,
        self_values: Tensor,
        cross_keys: Tensor,
        cross_values: Tensor,
        cells: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self.model.step(tokens, position, self_keys, self_values, cross_keys, cross_values, cells)


def _export(
    module: nn.Module,
    path: Path,
    opset: int,
    inputs: dict[str, tuple[Tensor, Axes]],
    outputs: dict[str, Axes],
) -> None:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing: said above
        torch.onnx.export(
            module.eval(),
            tuple(example for example, _ in inputs.values()),
            path,
            dynamo=False,
            opset_version=opset,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: axes for name, (_, axes) in inputs.items()} | outputs,
        )
