"""A picture with its label as a row of a shard: prepared as the service prepares what it is sent.

Beside each picture `a.jpg` lies its label, `a.jpg.json`. So a picture and its label are added, corrected and
taken away without a list that all share.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.data.shards import Row
from components.files import write_text
from components.ink.raster import Picture, RasterSettings
from components.latex.normalizer import normalize
from components.latex.tokenizer import tokenize
from components.recognizer.preprocessing import open_grey, prepare_picture

LABEL = ".json"  # added to a picture's name
_MAX_LABEL = 1 << 20  # bytes of a label's file
_MAX_PICTURE = 64 << 20  # bytes of a picture's file


class PictureLabel(BaseModel):
    """What is known of a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latex: str = Field(description="what is written on it")
    writer: str | None = Field(None, description="whose hand it is")
    corrected_at: datetime | None = Field(None, description="when a user of the service said so")
    prepared: bool = Field(
        False, description="the file is what preprocessing made of a picture; it is not prepared again"
    )

    @classmethod
    def read(cls, path: Path) -> PictureLabel:
        """Read a label's file. Raises ValueError, whose message is the fault, and OSError."""
        if path.stat().st_size > _MAX_LABEL:
            raise ValueError(f"the label's file {path.name} is larger than {_MAX_LABEL >> 20} MiB")
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, fault["loc"]))
            raise ValueError(
                f"the label's file {path.name}: {field + ': ' if field else ''}{fault['msg']}"
            ) from None

    def write(self, path: Path) -> None:
        """Write the label's file atomically. Raises OSError."""
        write_text(self.model_dump_json(exclude_defaults=True, indent=2) + "\n", path)


def label_path(picture: Path) -> Path:
    """Where the label of a picture lies."""
    return picture.with_name(picture.name + LABEL)


def row_of_picture(folder: Path, source: str, settings: RasterSettings) -> Row:
    """Read and prepare the picture whose label's file is `source`, and normalize the label.

    Raises ValueError (PictureError, LabelError and TokenError are some), whose message is the reason, where
    it can't be used, and OSError where it can't be read.
    """
    name = source.removesuffix(LABEL)
    label = PictureLabel.read(folder / source)
    latex = normalize(label.latex)
    picture = read_picture(folder / name, label.prepared, settings)
    done, png = cv2.imencode(".png", picture)
    assert done, "OpenCV encodes every uint8 picture"
    return Row(
        id=name,
        writer=label.writer,
        strokes=None,
        symbols=(),
        png=png.tobytes(),
        width=picture.shape[1],
        height=picture.shape[0],
        latex=latex,
        tokens=tokenize(latex),
        ink_hash=picture_hash(picture),
        source=name,
    )


def read_picture(path: Path, prepared: bool, settings: RasterSettings) -> Picture:
    """The prepared picture of a file. One that was prepared before is taken as it is, if it is not too large.

    Raises PictureError and ValueError, and OSError where the file can't be read.
    """
    try:
        if path.stat().st_size > _MAX_PICTURE:
            raise ValueError(f"the file is larger than {_MAX_PICTURE >> 20} MiB: make it smaller")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError("there is a label, but no such file: add the picture, or remove its row") from None
    if prepared:
        picture = open_grey(data)
        if picture.shape[0] <= settings.max_height and picture.shape[1] <= settings.max_width:
            return picture
    return prepare_picture(data, settings).picture


def picture_hash(picture: Picture) -> str:
    """SHA-256 of a prepared picture's pixels: equal for copies, whatever their file format."""
    digest = hashlib.sha256(np.array(picture.shape, np.int64).tobytes())
    digest.update(np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()
