"""The bundle: a folder with everything that inference needs.

encoder.onnx   pictures → keys and values of each decoder layer's cross-attention
decoder.onnx   a decoder step with key-value cache
vocab.json     the tokens
bundle.json    preprocessing and decoding settings, description of the model, hashes of the other files
example.png    a picture with a known result, for health checks
card.md        the model card
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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
_FORMAT_2 = {  # its names of what DecodingConfig has
    "max_tokens": "max_tokens",
    "bidirectional": "bidirectional",
    "sizes": "scales",
    "calibration": "calibration",
}
_HASHED = (ENCODER, DECODER, VOCABULARY, EXAMPLE)


class BundleError(ValueError):
    """A bundle is incomplete or broken; the message names the file and what to do."""


class DecodingConfig(BaseModel):
    """How a picture is searched: the same for evaluation, gate, smoke test, command line and service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_tokens: int = Field(ge=1, description="maximum length of a result, tokens")
    beam: int = Field(1, ge=1, description="beams of the search; 1: greedy decoding")
    scales: tuple[float, ...] = Field(
        (), description="sizes in which beam search reads a picture besides its own, which is 1"
    )
    min_side: int = Field(0, ge=0, description="smaller pictures are padded to so many pixels a side")
    bidirectional: bool = Field(False, description="the decoder also writes from right to left")
    calibration: Calibration = Calibration()


class BundleSettings(BaseModel):
    """Settings of inference besides graphs and vocabulary.

    The format before, 2, is read as well: a champion registered by an earlier release stays usable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[3] = 3
    raster: RasterSettings
    multiple: int = Field(ge=1, description="input sides are padded to multiples of this, pixels")
    decoding: DecodingConfig

    @model_validator(mode="before")
    @classmethod
    def _read_format_2(cls, content: Any) -> Any:
        """Format 2 had the decoding settings beside the others, and no number of beams."""
        if not isinstance(content, dict) or content.get("format") != 2:
            return content
        decoding = {new: content[old] for old, new in _FORMAT_2.items() if old in content}
        others = {key: value for key, value in content.items() if key not in _FORMAT_2}
        return others | {"format": 3, "decoding": decoding}


class About(BaseModel):
    """Description of the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    parameters: int = Field(ge=1)
    example: str = Field(description="LaTeX of example.png, read greedily")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    folder: Path
    settings: BundleSettings
    about: About
    vocabulary: Vocabulary
    version: str  # hash of graphs, vocabulary and settings, 16 hexadecimal digits

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


def bundled_model() -> Path:
    """The folder of the bundled model: in a checkout, or installed beside the packages."""
    root = Path(__file__).parents[2]
    checkout = root / "models" / "default"
    return checkout if checkout.is_dir() else root / "handwritten_math" / "model"


def load_bundle(folder: Path) -> Bundle:
    """Open a bundle and verify its hashes. Raises BundleError."""
    for name in (*_HASHED, SETTINGS):
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}: missing; `dvc repro export` creates a bundle")
    path = folder / SETTINGS
    content = path.read_bytes()
    try:
        file = _File.model_validate_json(content)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BundleError(f"{path}: {faults}; written by another version, or edited by hand") from None
    for name in _HASHED:
        if file.sha256.get(name) != _sha256(folder / name):
            raise BundleError(f"{folder / name}: does not match {SETTINGS}; export again")
    try:
        vocabulary = Vocabulary.load(folder / VOCABULARY)
    except VocabularyError as error:
        raise BundleError(str(error)) from None
    return Bundle(folder, file.settings, file.about, vocabulary, hashlib.sha256(content).hexdigest()[:16])


def seal_bundle(folder: Path, settings: BundleSettings, about: About) -> Bundle:
    """Write bundle.json for the other files in `folder`, and open the bundle."""
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
