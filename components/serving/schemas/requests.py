"""Bodies of requests: read up to a bound, in each of the forms that pictures and ink come in."""

from __future__ import annotations

import base64
import binascii
from collections.abc import MutableMapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from components.serving.observability.request_context import ID
from components.serving.schemas.problems import Problem

MAX_BATCH = 10

Point = list[FiniteFloat]

_FORM = 64 << 10  # what a form may hold beside its file, bytes


class StrokesBody(BaseModel):
    """Pen strokes; y downwards, any unit."""

    model_config = ConfigDict(extra="ignore")

    strokes: list[list[Point]] = Field(
        description="strokes of points `[x, y]` or `[x, y, t]`; the time is not used",
        examples=[[[[0, 0], [8, 10]], [[8, 0], [0, 10]]]],
        min_length=1,
    )


class BatchBody(BaseModel):
    """Several pictures."""

    model_config = ConfigDict(extra="ignore")

    images: list[str] = Field(
        description="picture files in base64, with or without `data:…;base64,` before them",
        min_length=1,
        max_length=MAX_BATCH,
    )


class FeedbackBody(BaseModel):
    """What should have been read."""

    model_config = ConfigDict(extra="ignore")

    request_id: str = Field(
        description="`X-Request-ID` of the answer that was wrong",
        pattern=f"^{ID}$",
        examples=["9f86d081884c7d65"],
    )
    formula: str = Field(
        description="what is written there, LaTeX", max_length=4096, examples=[r"\frac{1}{2}"]
    )


async def picture_of(request: Request, limit: int) -> bytes:
    """The bytes of the picture in a multipart form's field `file`, or in the raw body. Raises Problem."""
    kind = media_type(request)
    if kind == "multipart/form-data":
        return await _file_of(request, limit)
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise Problem(
            415,
            "unsupported-media-type",
            "Send a picture: as the field `file` of a multipart form, or as the body with an `image/*` type.",
            {"Accept-Post": "multipart/form-data, image/*"},
        )
    data = await body(request, limit)
    if not data:
        raise Problem(422, "empty", "The body is empty; it should be a picture file.")
    return data


async def json_of(request: Request, model: type[BaseModel], limit: int) -> Any:
    """The body as JSON of this form. Raises Problem."""
    try:
        return model.model_validate_json(await body(request, limit))
    except ValidationError as error:
        raise Problem(422, "invalid-body", _faults(error)) from None


async def body(request: Request, limit: int) -> bytes:
    """The whole body. Raises Problem (413) as soon as it is known to be larger than `limit` bytes."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except ClientDisconnect:
        raise Problem(400, "disconnected", "The connection broke before the body was whole.") from None
    return b"".join(chunks)


def from_base64(text: str, limit: int) -> bytes:
    """A picture out of a batch. Raises Problem."""
    try:
        data = base64.b64decode(text.rpartition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, "invalid-base64", "The picture is not valid base64.") from None
    if not data:
        raise Problem(422, "empty", "The picture is empty.")
    if len(data) > limit:
        raise _too_large(limit)
    return data


def media_type(request: Request) -> str:
    """The body's type, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _file_of(request: Request, limit: int) -> bytes:
    whole = await body(request, limit + _FORM)

    async def replay() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": whole, "more_body": False}

    try:
        async with Request(request.scope, replay).form(max_files=1, max_fields=20) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Problem(422, "no-file", "The form has no file in its field `file`.")
            data = await file.read()
    except HTTPException as error:  # what Starlette makes of a form that is broken, or has too many parts
        raise Problem(400, "invalid-form", f"The form can't be read: {error.detail}") from None
    except (ValueError, KeyError):  # a broken boundary or header
        raise Problem(
            400, "invalid-form", "The form can't be read: its boundary or a header is broken."
        ) from None
    if not data:
        raise Problem(422, "empty", "The file in the field `file` is empty.")
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _too_large(limit: int) -> Problem:
    size = f"{limit / (1 << 20):,.0f} MiB" if limit >= 1 << 20 else f"{limit:,} bytes"
    return Problem(413, "too-large", f"More than {size} are not taken; send a smaller picture.")


def _faults(error: ValidationError) -> str:
    """What is wrong where, for the first few faults; not the values, which can be of any size."""
    faults = [
        f"{'.'.join(map(str, e['loc'])) or 'the body'}: {e['msg']}"
        for e in error.errors(include_url=False)[:3]
    ]
    more = error.error_count() - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more > 0 else "")
