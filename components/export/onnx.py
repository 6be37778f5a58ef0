"""Export to ONNX: the encoder and a decoder step, for any number and size of pictures.

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

from components.model.network import DecoderCache, EncoderDecoder, ProjectedMemory

Axes = dict[int, str]  # names of dynamic axes

_HIGH = {0: "pictures", 3: "cells"}


def export_encoder(model: EncoderDecoder, path: Path, opset: int) -> None:
    """Export `pictures` (P, 1, H, W) → of each decoder layer i `keys.i` (P, heads, head width, cells) and
    `values.i` (P, heads, cells, head width).

    H and W are multiples of `model.multiple`. The model must be in evaluation mode.
    """
    layers = range(len(model.layers))
    picture = torch.zeros(2, 1, 2 * model.multiple, 3 * model.multiple)
    inputs: dict[str, tuple[Tensor, Axes]] = {"pictures": (picture, {0: "pictures", 2: "height", 3: "width"})}
    outputs = {f"keys.{i}": _HIGH for i in layers} | {
        f"values.{i}": {0: "pictures", 2: "cells"} for i in layers
    }
    _export(_Encoder(model), path, opset, inputs, outputs)


def export_decoder(model: EncoderDecoder, path: Path, opset: int) -> None:
    """Export `tokens` (R, n) at `position` () with their cache → `logits` (R, n, V) and new cache entries;
    `cells` (P,) of a picture's memory are valid. The names, and of each layer i the
    shapes, are those of `recognizer.engine`: `past_keys.i`, …, `new_keys.i`, …, `new_attention.i`.
    """
    rows, n, capacity = 4, 3, 5  # for two pictures; none of these numbers may appear in the graph
    with torch.inference_mode():
        encoded = model.encode(torch.zeros(2, 1, model.multiple, 2 * model.multiple))
        memory, cache = model.project_memory(encoded), model.empty_cache(encoded, rows)
    inputs: dict[str, tuple[Tensor, Axes]] = {
        "tokens": (torch.ones(rows, n, dtype=torch.int64), {0: "rows", 1: "n"}),
        "position": (torch.tensor(2), {}),
        "cells": (torch.full((2,), encoded.shape[1]), {0: "pictures"}),
    }
    outputs: dict[str, Axes] = {"logits": {0: "rows", 1: "n"}}
    for i, keys in enumerate(memory.keys):
        inputs[f"keys.{i}"] = (keys.clone(), _HIGH)
    for i, values in enumerate(memory.values):
        inputs[f"values.{i}"] = (values.clone(), {0: "pictures", 2: "cells"})
    for i, keys in enumerate(cache.keys):
        inputs[f"past_keys.{i}"] = (keys.new_zeros(*keys.shape[:3], capacity), {0: "rows", 3: "capacity"})
    for i, values in enumerate(cache.values):
        shape = (*values.shape[:2], capacity, values.shape[3])
        inputs[f"past_values.{i}"] = (values.new_zeros(shape), {0: "rows", 2: "capacity"})
    for i, coverage in enumerate(cache.coverage):
        inputs[f"past_coverage.{i}"] = (coverage.clone(), {0: "rows", 2: "cells"})
    outputs |= {f"new_keys.{i}": {0: "rows", 3: "n"} for i in range(len(model.layers))}
    outputs |= {f"new_values.{i}": {0: "rows", 2: "n"} for i in range(len(model.layers))}
    outputs |= {f"new_attention.{i}": {0: "rows", 2: "n", 3: "cells"} for i in range(len(model.layers))}
    _export(_Step(model), path, opset, inputs, outputs)


class _Encoder(nn.Module):
    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        for block in self.model.modules():
            if isinstance(block, SwinTransformerBlock | SwinTransformerV2Block) and any(block.shift_size):
                block.get_attn_mask = partial(_shift_mask, block)  # type: ignore[method-assign]

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        with _Rolling():
            memory = self.model.project_memory(self.model.encode(pictures))
        return (*memory.keys, *memory.values)


class _Shaping(TorchFunctionMode):
    """Trace `flatten` and `unflatten` of the last axes as one Reshape with constants: otherwise they become
    half a dozen operations on sizes, which dominate a one-token step."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.flatten and len(args) == 2:  # from an axis to the last one
            return _Reshaped.apply(args[0], (0,) * args[1] + (-1,))
        if func is torch.unflatten and args[1] == args[0].ndim - 1:
            return _Reshaped.apply(args[0], (0,) * args[1] + tuple(args[2]))
        return func(*args, **(kwargs or {}))


class _Reshaped(torch.autograd.Function):
    """ONNX's Reshape: an axis of 0 keeps its size."""

    @staticmethod
    def forward(_: Any, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])

    @staticmethod
    def symbolic(graph: Any, x: Any, shape: tuple[int, ...]) -> Any:
        return graph.op("Reshape", x, graph.op("Constant", value_t=torch.tensor(shape)))


class _Rolling(TorchFunctionMode):
    """Trace `torch.roll` as indexing. Otherwise it becomes two slices, which do nothing if the shift exceeds
    the side: a picture may be smaller than half a window."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _roll(*args, **kwargs) if func is torch.roll else func(*args, **(kwargs or {}))


def _roll(x: Tensor, shifts: Sequence[int], dims: Sequence[int]) -> Tensor:
    for shift, dim in zip(shifts, dims, strict=True):
        x = x.index_select(dim, (torch.arange(x.shape[dim], device=x.device) - shift) % x.shape[dim])
    return x


def _shift_mask(block: Any, x: Tensor) -> Tensor:
    """timm's `get_attn_mask` of x (B, H, W, C) in a form that traces for any H and W: -100 between cells that
    only the cyclic shift brought into one window, else 0."""

    def bands(n: int, window: int, shift: int) -> Tensor:
        index = torch.arange(n, device=x.device)
        return (index >= n - window).to(x.dtype) + (index >= n - shift).to(x.dtype)

    (high, wide), (down, right) = block.window_size, block.shift_size
    regions = 3 * bands(x.shape[1], high, down)[:, None] + bands(x.shape[2], wide, right)
    windows = window_partition(regions[None, :, :, None], block.window_size).view(-1, block.window_area)
    apart: Tensor = windows[:, None] != windows[:, :, None]
    return apart.to(x.dtype) * -100


class _Step(nn.Module):
    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, position: Tensor, cells: Tensor, *arrays: Tensor) -> tuple[Tensor, ...]:
        n = len(self.model.layers)
        keys, values, past_keys, past_values = (arrays[i * n : (i + 1) * n] for i in range(4))
        seen = torch.arange(keys[0].shape[3], device=cells.device) < cells[:, None, None, None]
        with _Shaping():
            step = self.model.decode(
                tokens,
                DecoderCache(past_keys, past_values, arrays[4 * n :], position),
                ProjectedMemory(keys, values, seen),
            )
        return (step.logits, *step.keys, *step.values, *step.attention)


def _export(
    module: nn.Module,
    path: Path,
    opset: int,
    inputs: dict[str, tuple[Tensor, Axes]],
    outputs: dict[str, Axes],
) -> None:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # about tracing, see above
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
