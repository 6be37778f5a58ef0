"""What the generated OpenAPI description can't know: bodies of several kinds, problems, examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from components.serving.schemas.problems import MEDIA_TYPE
from components.serving.schemas.requests import BatchBody, FeedbackBody, StrokesBody

_BYTES = {"schema": {"type": "string", "format": "binary"}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problem documents with these statuses."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    what = {
        400: "The request is broken",
        401: "A key is needed, or is not known",
        404: "There is nothing of this kind",
        408: "The body came too slowly",
        413: "Too large",
        415: "Of a kind that is not read",
        422: "Can't be read, with the reason",
        429: "Limits are used up; `Retry-After` says until when",
        503: "Too busy at this moment; `Retry-After` says for how long",
    }
    return {
        status: {"description": what[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": model.model_json_schema()}


PICTURE = _body(
    {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
        "image/png": _BYTES,
        "image/jpeg": _BYTES,
        "image/*": _BYTES,
    }
)
_CROSS = '<ink xmlns="http://www.w3.org/2003/InkML"><trace>0 0, 8 10</trace><trace>8 0, 0 10</trace></ink>'
STROKES = _body(
    {
        "application/json": _json(StrokesBody),
        "application/inkml+xml": {"schema": {"type": "string"}, "example": _CROSS},
    }
)
FEEDBACK = _body({"application/json": _json(FeedbackBody)})
JSON_BATCH = _body({"application/json": _json(BatchBody)})
