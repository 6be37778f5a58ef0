"""Checkpoints: weights, vocabulary and raster settings in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from components.config import ModelParams
from components.files import atomic_write
from components.ink.raster import RasterSettings
from components.latex.vocabulary import Vocabulary
from components.model.network import EncoderDecoder
from components.recognizer.bundle import BundleSettings, DecodingConfig
from components.recognizer.calibration import Calibration

_ENCODER_PARTS = ("encoder", "project", "memory_norm", "symbol_head")  # modules before the decoder


@dataclass(frozen=True)
class Checkpoint:
    """A model with everything that inference needs."""

    model: EncoderDecoder
    vocabulary: Vocabulary
    raster: RasterSettings

    def settings(
        self,
        calibration: Calibration | None = None,
        beam: int = 1,
        scales: Sequence[float] = (),
        min_side: int = 0,
    ) -> BundleSettings:
        """What reading needs to know beside weights and vocabulary."""
        model = self.model
        decoding = DecodingConfig(
            max_tokens=model.params.max_tokens,
            beam=beam,
            scales=tuple(scales),
            min_side=min_side,
            bidirectional=model.params.bidirectional,
            calibration=calibration or Calibration(),
        )
        return BundleSettings(raster=self.raster, multiple=model.multiple, decoding=decoding)


def save_model(checkpoint: Checkpoint, path: Path, half: bool = False) -> None:
    """Write a checkpoint atomically; `half`: with 16-bit weights."""
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
    """Load a checkpoint in evaluation mode. Raises FileNotFoundError, ValueError."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no trained model; run `dvc repro train` first")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        vocabulary = Vocabulary(**content["vocabulary"])
        model = EncoderDecoder(ModelParams(**content["model"]), len(vocabulary))
        model.load_state_dict(content["weights"])
        raster = RasterSettings(**content["raster"])
    except (KeyError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: not a checkpoint of this version ({error}); train again") from error
    return Checkpoint(model.eval(), vocabulary, raster)


def load_pretrained(
    model: EncoderDecoder, vocabulary: Vocabulary, other: Checkpoint, encoder_only: bool = False
) -> None:
    """Initialize a model from a trained one of the same sizes, matching tokens by name.

    Embeddings of shared tokens are kept; new tokens start from random weights. `encoder_only` loads the
    encoder alone, so that the decoder may be of another kind. Raises ValueError if the sizes differ.
    """
    weights = model.state_dict()
    known = {token: number for number, token in enumerate(other.vocabulary.tokens)}
    pairs = [(new, known[token]) for new, token in enumerate(vocabulary.tokens) if token in known]
    new, old = (torch.tensor(numbers) for numbers in zip(*pairs, strict=True))
    for name, value in other.model.state_dict().items():
        part = name.split(".")[0]
        if encoder_only and part not in _ENCODER_PARTS:
            continue
        from_row = 1 if part in ("embed", "head", "symbol_head") else 0  # these have one row per token
        if name not in weights or weights[name].shape[from_row:] != value.shape[from_row:]:
            raise ValueError(
                f"train.init_from: {name} is {tuple(value.shape)}; `model` has other sizes than it"
            )
        if from_row:
            weights[name][new] = value[old]
        else:
            weights[name].copy_(value)
