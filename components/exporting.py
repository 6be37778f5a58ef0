"""PyTorch to ONNX: the encoder, and one step of the decoder, for any number and size of pictures."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from timm.models.swin_transformer import SwinTransformerBlock, window_partition
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from torch import Tensor, nn
from torch.export import Dim

from components.model.recogniser import Recogniser


def export_encoder(model: Recogniser, path: Path, opset: int) -> None:
    """Writes `pictures` (B, 1, H, W) → `cross_keys`, `cross_values` (B, layers, heads, cells, dh).

    H and W are multiples of `model.multiple`. The model must be in evaluation mode.
    """
    side = model.multiple
    rows, columns = side * Dim("rows"), side * Dim("columns")
    _export(
        _Encoder(model), path, opset,
        {"pictures": (torch.zeros(2, 1, 2 * side, 3 * side), {0: Dim("batch"), 2: rows, 3: columns})},
        ["cross_keys", "cross_values"],
    )  # fmt: skip


def export_decoder(model: Recogniser, path: Path, opset: int) -> None:
    """Writes one step: `tokens` (B,), `position` (), and the cached keys and values, to `logits` (B, V) and
    `next_keys`, `next_values`, which are `self_keys`, `self_values` (B, layers, heads, t, dh) with t + 1."""
    with torch.inference_mode():
        keys, values = model.cross(model.encode(torch.zeros(2, 1, model.multiple, 2 * model.multiple)))
    batch, length, cells = Dim("batch"), Dim("length", min=0), Dim("cells")
    own = (*keys.shape[:3], 5, keys.shape[4])
    # No two example tensors may be one object: the exporter would take them for one input.
    inputs: dict[str, tuple[Tensor, dict[int, Any]]] = {
        "tokens": (torch.ones(2, dtype=torch.int64), {0: batch}),
        "position": (torch.tensor(5), {}),
        "self_keys": (torch.zeros(own), {0: batch, 3: length}),
        "self_values": (torch.zeros(own), {0: batch, 3: length}),
        "cross_keys": (keys.clone(), {0: batch, 3: cells}),
        "cross_values": (values.clone(), {0: batch, 3: cells}),
    }
    _export(_Step(model), path, opset, inputs, ["logits", "next_keys", "next_values"])


class _Encoder(nn.Module):
    def __init__(self, model: Recogniser) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        for block in self.model.modules():
            if isinstance(block, SwinTransformerBlock | SwinTransformerV2Block) and any(block.shift_size):
                block.get_attn_mask = partial(_shift_mask, block)  # type: ignore[method-assign]

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.cross(self.model.encode(pictures))


def _shift_mask(block: Any, x: Tensor) -> Tensor:
    """What timm's `get_attn_mask` computes of x (B, H, W, C): -100 between cells that only the cyclic shift
    brought into one window. Comparisons in place of nine assignments of slices: a third of the export's time.
    """

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
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self.model.step(tokens, position, self_keys, self_values, cross_keys, cross_values)


def _export(
    module: nn.Module,
    path: Path,
    opset: int,
    inputs: dict[str, tuple[Tensor, dict[int, Any]]],
    outputs: Sequence[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about axes that share a name, which they are meant to
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            tuple(example for example, _ in inputs.values()),
            dynamo=True,
            opset_version=opset,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: axes for name, (_, axes) in inputs.items()},
            verbose=False,
        )
    assert program is not None  # it is where dynamo is asked for
    graph = program.model_proto
    # Stack traces: a quarter of a small model's file, and paths of the machine that exported it.
    for part in (graph, *graph.graph.node, *graph.graph.value_info, *graph.graph.initializer):
        del part.metadata_props[:]
    onnx.save(graph, path)
