"""Parts of the OpenAPI description that FastAPI can't generate: request bodies, problems, examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from components.serving.access.api_keys import KeyLimits
from components.serving.schemas.constraints import Constraints
from components.serving.schemas.problems import MEDIA_TYPE
from components.serving.schemas.requests import BatchRequest, FeedbackRequest, NewKeyRequest

_BYTES = {"schema": {"type": "string", "format": "binary"}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses with problem documents, by status."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    what = {
        400: "The request is malformed",
        401: "An API key is missing or invalid",
        403: "An admin key is needed",
        404: "Not found",
        409: "The keys can't be changed here",
        408: "The body did not arrive in time",
        413: "Too large",
        415: "Unsupported media type",
        422: "Can't be processed; `detail` has the reason",
        429: "Rate limit exceeded; see `Retry-After`",
        503: "Overloaded; see `Retry-After`",
    }
    return {
        status: {"description": what[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": model.model_json_schema()}


def _inlined(model: type[BaseModel]) -> dict[str, Any]:
    """The schema without definitions of its own, which a part of a description can't refer to."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


PICTURE = _body(
    {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "n_best": {"type": "integer", "minimum": 1, "maximum": 5},
                    "format": {"type": "string", "enum": ["latex", "mathml"]},
                    "explain": {"type": "boolean"},
                    "names": {"type": "string", "enum": ["functions", "letters"]},
                    "constraints": {"type": "string", "description": "JSON, as in a JSON body"},
                },
            }
        },
        "image/png": _BYTES,
        "image/jpeg": _BYTES,
        "image/*": _BYTES,
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {
                    "image": {"type": "string", "description": "base64 or a data URL"},
                    "constraints": Constraints.model_json_schema(),
                },
            }
        },
    }
)
_STROKES = {
    "type": "object",
    "required": ["strokes"],
    "properties": {
        "strokes": {
            "description": "Strokes; y downwards, any unit. A stroke is a list of points `[x, y, …]` or "
            "`{x, y}`, or an object of columns `{x: […], y: […]}`; time and pressure are not used. Also "
            "read: `{x: [[…], …], y: [[…], …]}` (Mathpix), `strokeGroups` (MyScript) and a bare list.",
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "array",
                "items": {"type": "array", "items": {"type": "number"}, "minItems": 2},
            },
        },
        "constraints": Constraints.model_json_schema(),
    },
}
_CROSS = '<ink xmlns="http://www.w3.org/2003/InkML"><trace>0 0, 8 10</trace><trace>8 0, 0 10</trace></ink>'
STROKES = _body(
    {
        "application/json": {
            "schema": _STROKES,
            "example": {"strokes": [[[0, 0], [8, 10]], [[8, 0], [0, 10]]]},
        },
        "application/inkml+xml": {"schema": {"type": "string"}, "example": _CROSS},
    }
)
FEEDBACK = _body({"application/json": _json(FeedbackRequest)})
JSON_BATCH = _body({"application/json": _json(BatchRequest)})
NEW_KEY = _body({"application/json": {"schema": _inlined(NewKeyRequest)}})
KEY_LIMITS = _body({"application/json": _json(KeyLimits)})


SECURITY_SCHEMES = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def describe_security(description: dict[str, Any], required: bool) -> None:
    """Add the API key's two headers to the operations that take a key: all POST operations, optional unless
    `required`, those on keys, and usage."""
    description.setdefault("components", {})["securitySchemes"] = SECURITY_SCHEMES
    alternatives: list[dict[str, list[str]]] = [{"apiKey": []}, {"bearer": []}]
    for path, operations in description["paths"].items():
        always = path.startswith("/keys")
        for method, operation in operations.items():
            if always or method == "post":
                operation["security"] = alternatives if required or always else [*alternatives, {}]
            elif path == "/usage":
                operation["security"] = [*alternatives, {}]
