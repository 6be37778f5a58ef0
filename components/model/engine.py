"""The engine that reads with PyTorch: evaluation in the pipeline, and the yardstick of the export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from components.model.checkpoint import load_model
from components.model.recogniser import Recogniser
from components.recognizer.engine import Floats, Memory, State, Tokens


class TorchEngine:
    """Runs a recogniser step by step, as `recognizer.engine.Engine` asks."""

    def __init__(self, model: Recogniser) -> None:
        self.model = model.eval()
        self.device = next(model.parameters()).device

    @classmethod
    def load(cls, path: Path) -> TorchEngine:
        """The engine of a checkpoint, on a GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(load_model(path).model.to(device))

    @torch.inference_mode()
    def encode(self, pictures: Floats) -> Memory:
        keys, values = self.model.cross(self.model.encode(torch.from_numpy(pictures).to(self.device)))
        return Memory.whole(keys.cpu().numpy(), values.cpu().numpy())

    @torch.inference_mode()
    def step(self, tokens: Tokens, position: int, state: State, memory: Memory) -> tuple[Floats, State]:
        arrays = (
            *(state.self_keys, state.self_values),
            *(memory.cross_keys, memory.cross_values, memory.cells),
        )
        tensors = (torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for array in arrays)
        logits, keys, values = self.model.step(
            torch.from_numpy(tokens).to(self.device), torch.tensor(position, device=self.device), *tensors
        )
        return logits.cpu().numpy(), State(keys.cpu().numpy(), values.cpu().numpy())
