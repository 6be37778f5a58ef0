"""What each endpoint is sent, and what it answers with. The sync and the async client share these."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack

from handwritten_math_client.models import (
    Batch,
    Correction,
    CreatedKey,
    Health,
    History,
    KeyList,
    KeyResult,
    ModelInfo,
    Prediction,
    RateLimitStatus,
    Response,
    Status,
    UsageReport,
)

R = TypeVar("R", bound=Response)

File = bytes | str | os.PathLike[str]  # a file's content, or its path
Strokes = Iterable[Iterable[Iterable[float]]]  # strokes of points (x, y), y downwards; arrays will do
Format = Literal["latex", "mathml"]
Names = Literal["functions", "letters"]


class KeyLimitOptions(TypedDict, total=False):
    """A key's own limits, pictures and concurrent requests; what is not given is the service's default."""

    minute: int
    hour: int
    day: int
    at_once: int


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What is known about a formula. Symbols are tokens as in `token_boxes` with `names="letters"`."""

    prefix: str | tuple[str, ...] = ""  # the formula begins so: LaTeX, or its tokens
    tokens: Mapping[int, str] = field(default_factory=dict)  # tokens at their places, from 0
    exclude: tuple[str, ...] = ()  # symbols that it does not have
    vocabulary: Literal["digits", "algebra", "calculus"] | tuple[str, ...] | None = None  # None: all symbols


class PredictOptions(TypedDict, total=False):
    """Options of a prediction. What is not given is the service's default."""

    n_best: int  # number of readings to return, 1 to 5, the best first
    format: Format  # "mathml" adds the formula as MathML
    explain: bool  # adds `token_boxes`: the ink of each token, and the likeliest tokens there
    names: Names  # "functions": `\sin`; "letters": `sin`, as in MathWriting's labels
    constraints: Constraints  # what is known about the formula


@dataclass(frozen=True)
class Call(Generic[R]):
    """A request, and the type of its result. `content` are httpx's arguments for the body."""

    result: type[R]
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)
    repeatable: bool = True  # whether an attempt that may have been processed may be repeated
    statuses: frozenset[int] = frozenset({200})  # of responses that are results


def predict(picture: File, **options: Unpack[PredictOptions]) -> Call[Prediction]:
    return Call(
        Prediction, "POST", "/predict", _checked(options), {"files": {"file": ("picture", _read(picture))}}
    )


def predict_strokes(strokes: Strokes, **options: Unpack[PredictOptions]) -> Call[Prediction]:
    body = {"strokes": [[list(map(float, point)) for point in stroke] for stroke in strokes]}
    return Call(Prediction, "POST", "/predict/strokes", _checked(options), {"json": body})


def predict_inkml(document: File, **options: Unpack[PredictOptions]) -> Call[Prediction]:
    content = {"content": _read(document), "headers": {"Content-Type": "application/inkml+xml"}}
    return Call(Prediction, "POST", "/predict/strokes", _checked(options), content)


def predict_batch(pictures: Iterable[File], **options: Unpack[PredictOptions]) -> Call[Batch]:
    body = {"images": [base64.b64encode(_read(picture)).decode() for picture in pictures]}
    return Call(Batch, "POST", "/predict/batch", _checked(options), {"json": body})


def feedback(request_id: str, formula: str, format: Format | None = None) -> Call[Correction]:
    params = {} if format is None else {"format": format}
    body = {"request_id": request_id, "formula": formula}
    # Not repeatable: a late repetition would replace a correction that was sent in between.
    return Call(
        Correction, "POST", "/feedback", params, {"json": body}, repeatable=False, statuses=frozenset({201})
    )


def status() -> Call[Status]:
    return Call(Status, "GET", "/status")


def health() -> Call[Health]:
    return Call(Health, "GET", "/health", statuses=frozenset({200, 503}))


def history() -> Call[History]:
    return Call(History, "GET", "/history")


def model_info() -> Call[ModelInfo]:
    return Call(ModelInfo, "GET", "/model/info")


def rate_limit_status() -> Call[RateLimitStatus]:
    return Call(RateLimitStatus, "GET", "/rate-limit/status")


def usage(key: str | None = None, days: int | None = None) -> Call[UsageReport]:
    params = {name: value for name, value in {"key": key, "days": days}.items() if value is not None}
    return Call(UsageReport, "GET", "/usage", params)


def list_keys() -> Call[KeyList]:
    return Call(KeyList, "GET", "/keys")


def add_key(
    name: str, expires_days: int | None = None, admin: bool = False, **limits: Unpack[KeyLimitOptions]
) -> Call[CreatedKey]:
    body = {"name": name, "expires_days": expires_days, "admin": admin, "limits": limits}
    # Not repeatable: a repetition would create a second key.
    return Call(CreatedKey, "POST", "/keys", {}, {"json": body}, repeatable=False, statuses=frozenset({201}))


def limit_key(id: str, **limits: Unpack[KeyLimitOptions]) -> Call[KeyResult]:
    return Call(KeyResult, "PATCH", f"/keys/{_key_id(id)}", {}, {"json": limits})


def revoke_key(id: str) -> Call[KeyResult]:
    return Call(KeyResult, "DELETE", f"/keys/{_key_id(id)}")


def _key_id(id: str) -> str:
    """The ID, fit for a path. Raises ValueError."""
    if not re.fullmatch(r"[0-9a-f]{8}", id):
        raise ValueError(f"{id!r} is no ID of a key, such as 3f9c2a7b")
    return id


def _checked(options: PredictOptions) -> Mapping[str, Any]:
    """The options as query parameters. Raises TypeError: the service would ignore a misspelt one."""
    if unknown := options.keys() - PredictOptions.__annotations__.keys():
        known = ", ".join(PredictOptions.__annotations__)
        raise TypeError(f"unknown option {', '.join(sorted(unknown))}; there are {known}")
    return {
        name: json.dumps(asdict(value)) if isinstance(value, Constraints) else value
        for name, value in options.items()
    }


def _read(file: File) -> bytes:
    return file if isinstance(file, bytes) else Path(file).read_bytes()
