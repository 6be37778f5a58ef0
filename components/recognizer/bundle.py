"""The bundle: a folder with all that reading a formula needs.

encoder.onnx   pictures → keys and values of each decoder layer's cross-attention
decoder.onnx   some tokens more, with remembered keys and values
vocab.json     the tokens
bundle.json    how to draw and pad pictures, what the model is, and the other files' hashes
example.png    a picture, so that whoever has the bundle can check that it reads
card.md        the model card
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.files import write_json
from components.ink.raster import RasterSettings
from components.latex.vocabulary import Vocabulary, VocabularyError
from components.recognizer.calibration import Calibration

ENCODER, DECODER, VOCABULARY, SETTINGS, EXAMPLE, CARD = FILES = (
    "encoder.onnx",
    "decoder.onnx",
    "vocab.json",
    "bundle.json",
    "example.png",
    "card.md",
)
_HASHED = (ENCODER, DECODER, VOCABULARY, EXAMPLE)


class BundleError(ValueError):
    """A bundle is incomplete or broken; the message names the file and what to do."""


class BundleSettings(BaseModel):
    """What reading needs to know beside the graphs and the vocabulary."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2] = 2
    raster: RasterSettings
    multiple: int = Field(ge=1, description="the sides of the model's pictures are multiples of this, pixels")
    max_tokens: int = Field(ge=1, description="the longest answer")
    both_ways: bool = Field(False, description="the decoder also writes from right to left")
    sizes: tuple[float, ...] = Field(
        (), description="several beams look at a picture in these sizes as well; 1 is the picture's own"
    )
    calibration: Calibration = Calibration()


class About(BaseModel):
    """What the model is, for people and programs that only ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    parameters: int = Field(ge=1)
    example: str = Field(description="what stands on example.png, as one beam reads it")


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose files are whole."""

    folder: Path
    settings: BundleSettings
    about: About
    vocabulary: Vocabulary
    version: str  # of graphs, vocabulary and settings: 16 hexadecimal digits

    @property
    def encoder(self) -> Path:
        return self.folder / ENCODER

    @property
    def decoder(self) -> Path:
        return self.folder / DECODER

    @property
    def example(self) -> Path:
        return self.folder / EXAMPLE


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: BundleSettings
    about: About
    sha256: dict[str, str]


def load_bundle(folder: Path) -> Bundle:
    """Opens a bundle and checks that its files belong together. Raises BundleError."""
    for name in (*_HASHED, SETTINGS):
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}: not there; a bundle has it (`dvc repro export` makes one)")
    path = folder / SETTINGS
    content = path.read_bytes()
    try:
        file = _File.model_validate_json(content)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BundleError(f"{path}: {faults}; it was made by another version, or changed by hand") from None
    for name in _HASHED:
        if file.sha256.get(name) != _sha256(folder / name):
            raise BundleError(f"{folder / name}: not the file that {SETTINGS} was written for; export anew")
    try:
        vocabulary = Vocabulary.load(folder / VOCABULARY)
    except VocabularyError as error:
        raise BundleError(str(error)) from None
    return Bundle(folder, file.settings, file.about, vocabulary, hashlib.sha256(content).hexdigest()[:16])


def seal_bundle(folder: Path, settings: BundleSettings, about: About) -> Bundle:
    """Writes bundle.json beside the other files, which are in `folder` already, and opens the bundle."""
    file = {
        "settings": settings.model_dump(mode="json"),
        "about": about.model_dump(mode="json"),
        "sha256": {name: _sha256(folder / name) for name in _HASHED},
    }
    write_json(file, folder / SETTINGS)
    return load_bundle(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
