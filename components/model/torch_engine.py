"""The engine that reads with PyTorch: evaluation in the pipeline, and the yardstick of the export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from components.model import network
from components.model.checkpoint import load_model
from components.model.network import Recogniser
from components.recognizer.engine import Floats, Memory, Past, Step, Tokens


class TorchEngine:
    """Runs a recogniser step by step, as `recognizer.engine.Engine` asks."""

    threads = 1  # PyTorch takes the cores by itself

    def __init__(self, model: Recogniser) -> None:
        self.model = model.eval()
        self.device = next(model.parameters()).device

    @classmethod
    def load(cls, path: Path) -> TorchEngine:
        """The engine of a checkpoint, on a GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(load_model(path).model.to(device))

    @torch.inference_mode()
    def encode(self, pictures: Floats, alone: bool = True) -> Memory:
        memory = self.model.cross(self.model.encode(self._tensor(pictures)))
        return Memory.whole(_arrays(memory.keys), _arrays(memory.values))

    @torch.inference_mode()
    def step(self, tokens: Tokens, past: Past, memory: Memory) -> Step:
        cells = memory.keys[0].shape[3]
        seen = torch.arange(cells) < torch.from_numpy(memory.cells)[:, None, None, None]
        step = self.model.decode(
            self._tensor(tokens),
            network.Past(
                self._tensors(past.keys),
                self._tensors(past.values),
                self._tensors(past.looked),
                torch.tensor(past.position, device=self.device),
            ),
            network.Memory(self._tensors(memory.keys), self._tensors(memory.values), seen.to(self.device)),
        )
        return Step(step.logits.cpu().numpy(), _arrays(step.keys), _arrays(step.values), _arrays(step.looked))

    def _tensors(self, arrays: Sequence[Floats]) -> tuple[torch.Tensor, ...]:
        return tuple(map(self._tensor, arrays))

    def _tensor(self, array: Floats | Tokens) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)


def _arrays(tensors: Sequence[torch.Tensor]) -> tuple[Floats, ...]:
    return tuple(tensor.cpu().numpy() for tensor in tensors)
