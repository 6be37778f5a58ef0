"""A trained recogniser in a file: weights, vocabulary, and how pictures were drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from components.config import ModelParams
from components.files import atomic_write
from components.ink.raster import RasterSettings
from components.latex.vocabulary import Vocabulary
from components.model.network import Recogniser
from components.recognizer.bundle import BundleSettings
from components.recognizer.calibration import Calibration

_EYES = ("encoder", "project", "memory_norm", "spot")  # a model's parts that come before its decoder


@dataclass(frozen=True)
class Checkpoint:
    """All that reading needs."""

    model: Recogniser
    vocabulary: Vocabulary
    raster: RasterSettings

    def settings(self, calibration: Calibration | None = None, sizes: Sequence[float] = ()) -> BundleSettings:
        """What reading with the model needs to know beside weights and vocabulary."""
        model = self.model
        return BundleSettings(
            raster=self.raster,
            multiple=model.multiple,
            max_tokens=model.params.max_tokens,
            both_ways=model.params.both_ways,
            sizes=tuple(sizes),
            calibration=calibration or Calibration(),
        )


def save_model(checkpoint: Checkpoint, path: Path, half: bool = False) -> None:
    """Writes a checkpoint whole or not at all; `half`: with 16-bit weights, to be carried about."""
    vocabulary = checkpoint.vocabulary
    state = {
        name: value.cpu().half() if half and value.is_floating_point() else value.cpu()
        for name, value in checkpoint.model.state_dict().items()
    }
    content = {
        "model": checkpoint.model.params.model_dump(),
        "vocabulary": {"tokens": vocabulary.tokens, "counts": vocabulary.counts},
        "raster": checkpoint.raster.model_dump(),
        "weights": state,
    }
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def load_model(path: Path) -> Checkpoint:
    """Reads a checkpoint, ready for reading (evaluation mode). Raises FileNotFoundError, ValueError."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no trained model; run `dvc repro train` first")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        vocabulary = Vocabulary(**content["vocabulary"])
        model = Recogniser(ModelParams(**content["model"]), len(vocabulary))
        model.load_state_dict(content["weights"])
        raster = RasterSettings(**content["raster"])
    except (KeyError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: not a model of this version ({error}); train it anew") from error
    return Checkpoint(model.eval(), vocabulary, raster)


def begin_with(model: Recogniser, vocabulary: Vocabulary, other: Checkpoint, eyes: bool = False) -> None:
    """Gives a new model the weights of a trained one of the same sizes; tokens keep what was learnt of them.

    What the trained model does not know starts as it is. Of `eyes` alone the decoder does, which may then be
    of another kind. Raises ValueError where the sizes differ.
    """
    weights = model.state_dict()
    known = {token: number for number, token in enumerate(other.vocabulary.tokens)}
    pairs = [(new, known[token]) for new, token in enumerate(vocabulary.tokens) if token in known]
    new, old = (torch.tensor(numbers) for numbers in zip(*pairs, strict=True))
    for name, value in other.model.state_dict().items():
        part = name.split(".")[0]
        if eyes and part not in _EYES:
            continue
        from_row = 1 if part in ("embed", "head", "spot") else 0  # these have a row a token
        if name not in weights or weights[name].shape[from_row:] != value.shape[from_row:]:
            raise ValueError(f"train.start: {name} is {tuple(value.shape)}; `model` has other sizes than it")
        if from_row:
            weights[name][new] = value[old]
        else:
            weights[name].copy_(value)
