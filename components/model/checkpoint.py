"""A trained recogniser in a file: weights, vocabulary, and how pictures were drawn for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from components.ink.raster import RasterSettings
from components.latex.vocabulary import Vocabulary
from components.model.recogniser import Recogniser
from components.params import ModelParams
from components.recognizer.bundle import BundleSettings


@dataclass(frozen=True)
class Checkpoint:
    """All that reading needs."""

    model: Recogniser
    vocabulary: Vocabulary
    raster: RasterSettings

    @property
    def settings(self) -> BundleSettings:
        """What reading with the model needs to know beside weights and vocabulary."""
        model = self.model
        return BundleSettings(raster=self.raster, multiple=model.multiple, max_tokens=model.params.max_tokens)


def save_model(checkpoint: Checkpoint, path: Path) -> None:
    """Writes a checkpoint whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    vocabulary = checkpoint.vocabulary
    state = {name: value.cpu() for name, value in checkpoint.model.state_dict().items()}
    torch.save(
        {
            "model": checkpoint.model.params.model_dump(),
            "vocabulary": {"tokens": vocabulary.tokens, "counts": vocabulary.counts},
            "raster": checkpoint.raster.model_dump(),
            "weights": state,
        },
        beside,
    )
    beside.replace(path)


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
