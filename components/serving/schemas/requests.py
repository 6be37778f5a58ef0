"""Request bodies: read up to a limit, in each of the forms that pictures and ink are sent in."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import zlib
from collections.abc import MutableMapping
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from components.serving.access.api_keys import KeyLimits
from components.serving.observability.request_context import ID
from components.serving.schemas.constraints import Constraints
from components.serving.schemas.problems import Problem

MAX_BATCH = 10

_DATA_URL = re.compile(r"\s*data:[^,]{0,200};\s*base64\s*", re.IGNORECASE)
_STANDARD_ALPHABET = str.maketrans("-_", "+/")  # from RFC 4648's URL-safe alphabet

_MAX_MEMBERS = 100  # of a gzip body
_FORM_BYTES = 64 << 10  # allowed in a form besides its file


class BatchRequest(BaseModel):
    """Several pictures."""

    model_config = ConfigDict(extra="ignore")

    images: list[str] = Field(
        description="picture files in base64 (RFC 4648, standard or URL-safe), or data URLs",
        min_length=1,
        max_length=MAX_BATCH,
    )


class FeedbackRequest(BaseModel):
    """A correction."""

    model_config = ConfigDict(extra="ignore")

    request_id: str = Field(
        description="`X-Request-ID` of the response to correct",
        pattern=f"^{ID}$",
        examples=["9f86d081884c7d65"],
    )
    formula: str = Field(description="the correct formula, LaTeX", max_length=4096, examples=[r"\frac{1}{2}"])


class NewKeyRequest(BaseModel):
    """A key to create."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="the key's owner", min_length=1, max_length=100, examples=["Ada's tablet"])
    expires_days: int | None = Field(None, ge=1, le=36500, description="days of validity; default: no expiry")
    limits: KeyLimits = Field(KeyLimits(), description="its own limits; those left out are the default")
    admin: bool = Field(False, description="it may manage keys, and see everybody's usage")


class PredictOptions(BaseModel):
    """Options of a prediction, as query parameters or as fields of a form."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    n_best: int = Field(1, ge=1, le=5, description="number of readings to return, the best first")
    format: Literal["latex", "mathml"] = Field("latex", description="`mathml` adds the formula as MathML")
    explain: bool = Field(
        False,
        description="adds `token_boxes`: the ink of each token, and the likeliest tokens there",
    )
    names: Literal["functions", "letters"] = Field(
        "functions",
        description="`functions`: `\\sin`, `\\lim_{x\\to 0}`; `letters`: as in MathWriting's labels, `sin`",
    )
    constraints: Json[Constraints] | None = Field(
        None, description="what is known about the formula, as JSON; in a JSON body a field of the same name"
    )


async def picture_of(request: Request, limit: int, options: PredictOptions) -> tuple[bytes, PredictOptions]:
    """The picture, and the options: a multipart form may override those of the query.

    Takes the field `file` of a form, or a body of type `image/*`. Raises Problem.
    """
    kind = media_type(request)
    if kind == "multipart/form-data":
        return await _form_of(request, limit, options)
    if not kind.startswith("image/") and kind not in ("application/octet-stream", ""):
        raise Problem(
            415,
            "unsupported-media-type",
            "Send a picture as the field `file` of a multipart form, as a body of type `image/*`, or as JSON "
            '{"image": base64}; strokes and InkML go to /predict/strokes.',
            {"Accept-Post": "multipart/form-data, image/*, application/json"},
        )
    data = await body(request, limit)
    if not data:
        raise Problem(422, "empty", "The body is empty; send a picture file.")
    return data, options


async def json_of(request: Request, model: type[BaseModel], limit: int) -> Any:
    """The body as JSON of this form. Raises Problem."""
    try:
        return model.model_validate_json(as_utf8(await body(request, limit)))
    except ValidationError as error:
        raise Problem(422, "invalid-body", _faults(error)) from None


def as_utf8(data: bytes) -> bytes:
    """JSON without a byte order mark; UTF-16 that has one as UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def within(data: bytes, limit: int) -> bytes:
    """The data. Raises Problem (413) if they are larger than `limit` bytes."""
    if len(data) > limit:
        raise _too_large(limit)
    return data


def image_in(data: bytes) -> str | None:
    """The base64 in the field `image` of a JSON object, or None if it has none."""
    if b'"image"' not in data:
        return None
    try:
        content = from_json(data)
    except ValueError:
        return None  # whoever reads strokes says what is wrong
    image = content.get("image") if isinstance(content, dict) else None
    return image if isinstance(image, str) else None


async def body(request: Request, limit: int) -> bytes:
    """The whole body. Raises Problem (413) as soon as it is known to be larger than `limit` bytes."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    gzip = _Gzip() if _is_compressed(request) else None
    chunks, size = [], 0
    try:
        async for received in request.stream():
            chunk = received if gzip is None else gzip.decompress(received, limit + 1 - size)
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except ClientDisconnect:
        raise Problem(400, "disconnected", "The connection closed before the body was complete.") from None
    except zlib.error:
        raise Problem(400, "invalid-encoding", "The body is not gzip, as Content-Encoding says.") from None
    if gzip is not None and not gzip.complete:
        raise Problem(400, "invalid-encoding", "The gzip body is truncated.")
    return b"".join(chunks)


class _Gzip:
    """Decompresses gzip (RFC 1952) of one or more members. What follows the last one is ignored."""

    def __init__(self) -> None:
        self._member, self._members = zlib.decompressobj(zlib.MAX_WBITS | 16), 1

    @property
    def complete(self) -> bool:
        """Whether the last member has ended."""
        return self._member.eof

    def decompress(self, data: bytes, most: int) -> bytes:
        """At most `most` bytes, fewer if there are no more. Raises zlib.error."""
        made = b""
        while len(made) < most:
            if self._member.eof:
                if not data.startswith(b"\x1f"):
                    break
                self._members += 1
                if self._members > _MAX_MEMBERS:
                    raise zlib.error
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            made += self._member.decompress(data, most - len(made))
            data = self._member.unused_data
            if not self._member.eof:
                break
        return made


def _is_compressed(request: Request) -> bool:
    """Whether the body is gzip. Raises Problem (415) for other encodings than that."""
    named = request.headers.get("content-encoding", "").lower().split(",")
    encodings = [name for each in named if (name := each.strip()) not in ("", "identity")]
    if encodings and (len(encodings) > 1 or encodings[0] not in ("gzip", "x-gzip")):
        raise Problem(
            415,
            "unsupported-encoding",
            "Send the body as it is, or with Content-Encoding: gzip.",
            {"Accept-Encoding": "gzip, identity"},
        )
    return bool(encodings)


def from_base64(text: str, limit: int) -> bytes:
    """Decode base64 as RFC 4648 and RFC 2045 allow: with line breaks, URL-safe, unpadded, as a data URL.

    A data URL may be percent-encoded, as any URL (RFC 2397). Raises Problem.
    """
    head, comma, tail = text.partition(",")
    encoded = unquote(tail) if comma and _DATA_URL.fullmatch(head) else text
    compact = "".join(encoded.split()).translate(_STANDARD_ALPHABET).rstrip("=")
    try:
        data = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
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


async def _form_of(request: Request, limit: int, options: PredictOptions) -> tuple[bytes, PredictOptions]:
    whole = await body(request, limit + _FORM_BYTES)

    async def replay() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": whole, "more_body": False}

    try:
        async with Request(request.scope, replay).form(max_files=1, max_fields=20) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Problem(422, "no-file", "The form has no file in the field `file`.")
            data = await file.read()
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
    except HTTPException as error:  # from Starlette, for a malformed form or one with too many parts
        raise Problem(400, "invalid-form", f"The form is malformed: {error.detail}") from None
    except (ValueError, KeyError):  # a broken boundary or header
        raise Problem(
            400, "invalid-form", "The form is malformed: its boundary or a header is broken."
        ) from None
    if not data:
        raise Problem(422, "empty", "The file in the field `file` is empty.")
    if len(data) > limit:
        raise _too_large(limit)
    try:
        return data, PredictOptions.model_validate(options.model_dump(round_trip=True) | fields)
    except ValidationError as error:
        raise Problem(422, "invalid-parameter", _faults(error)) from None


def _too_large(limit: int) -> Problem:
    size = f"{limit / (1 << 20):,.0f} MiB" if limit >= 1 << 20 else f"{limit:,} bytes"
    return Problem(413, "too-large", f"The limit is {size}; send a smaller body.")


def _faults(error: ValidationError) -> str:
    """The first few faults with their places; not the values, which can be of any size."""
    faults = [
        f"{'.'.join(map(str, e['loc'])) or 'the body'}: {e['msg']}"
        for e in error.errors(include_url=False)[:3]
    ]
    more = error.error_count() - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more > 0 else "")
