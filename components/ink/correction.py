"""A correction: what somebody says an ink or a picture means that was read otherwise."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field


class Correction(BaseModel):
    """One correction, as it lies in a file of the service's FEEDBACK_FOLDER.

    `strokes` where the service was given pen strokes; `picture`, a PNG as the recognizer saw it, where it was
    given a picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    request_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    at: datetime
    caller: str = Field(description="the name of the key that sent it")
    model: str = Field(description="version that read")
    read: str = Field(description="what was read, LaTeX")
    right: str = Field(description="what is written there, LaTeX, normalized")
    strokes: list[list[tuple[float, float]]] | None = None
    picture: Base64Bytes | None = None
