"""Inference with PyTorch: for evaluation in the pipeline, and as reference of the export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from components.config import DecodingParams
from components.model import network
from components.model.checkpoint import load_model
from components.model.network import EncoderDecoder
from components.recognizer.calibration import Calibration
from components.recognizer.engine import Floats, KVCache, Memory, Step, Tokens
from components.recognizer.recognizer import Recognizer


class TorchEngine:
    """Implements `recognizer.engine.Engine` with a PyTorch model."""

    threads = 1  # PyTorch uses the cores by itself

    def __init__(self, model: EncoderDecoder) -> None:
        self.model = model.eval()
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def encode(self, pictures: Floats, alone: bool = True) -> Memory:
        memory = self.model.project_memory(self.model.encode(self._tensor(pictures)))
        return Memory.unpadded(_arrays(memory.keys), _arrays(memory.values))

    @torch.inference_mode()
    def step(self, tokens: Tokens, cache: KVCache, memory: Memory) -> Step:
        cells = memory.keys[0].shape[3]
        mask = torch.arange(cells) < torch.from_numpy(memory.cells)[:, None, None, None]
        step = self.model.decode(
            self._tensor(tokens),
            network.DecoderCache(
                self._tensors(cache.keys),
                self._tensors(cache.values),
                self._tensors(cache.coverage),
                torch.tensor(cache.position, device=self.device),
            ),
            network.ProjectedMemory(
                self._tensors(memory.keys), self._tensors(memory.values), mask.to(self.device)
            ),
        )
        return Step(
            step.logits.cpu().numpy(), _arrays(step.keys), _arrays(step.values), _arrays(step.attention)
        )

    def _tensors(self, arrays: Sequence[Floats]) -> tuple[torch.Tensor, ...]:
        return tuple(map(self._tensor, arrays))

    def _tensor(self, array: Floats | Tokens) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)


def load_torch_recognizer(
    path: Path, decoding: DecodingParams, calibration: Calibration | None = None
) -> Recognizer:
    """A recognizer that runs a checkpoint in PyTorch, on a GPU if there is one.

    Without calibration its confidences are the model's own probabilities.
    """
    checkpoint = load_model(path)
    engine = TorchEngine(checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu"))
    settings = checkpoint.settings(calibration, decoding.beam, decoding.scales, decoding.min_side)
    return Recognizer(engine, checkpoint.vocabulary, settings)


def _arrays(tensors: Sequence[torch.Tensor]) -> tuple[Floats, ...]:
    return tuple(tensor.cpu().numpy() for tensor in tensors)
