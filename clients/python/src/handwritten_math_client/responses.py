"""From an HTTP response to the result of a call, or to the exception that it means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import TypeAdapter, ValidationError

from handwritten_math_client.calls import Call, R
from handwritten_math_client.errors import ProblemError, UnexpectedResponseError, problem_error
from handwritten_math_client.models import Headers, Problem, RateLimit

_PROBLEM = "application/problem+json"
_SHOWN = 200  # characters of a body that an error quotes


def is_result(call: Call[R], response: httpx.Response) -> bool:
    """Whether this is what the call asks for, and not a problem."""
    return response.status_code in call.statuses and _media_type(response) != _PROBLEM


def result(call: Call[R], response: httpx.Response) -> R:
    """The body and headers as the call's result. Raises UnexpectedResponseError."""
    kind: Any = call.result  # mypy takes no type variable for hashable
    try:
        body = response.json()
        if not isinstance(body, dict):
            raise ValueError(f"expected a JSON object, not {type(body).__name__}")
        found: R = _adapter(kind).validate_python(body | {"headers": headers(response)})
    except ValueError as error:  # ValidationError is one
        reason = _faults(error) if isinstance(error, ValidationError) else str(error)
        raise UnexpectedResponseError(f"{call.method} {response.url}: {reason}") from error
    return found


def problem(response: httpx.Response) -> ProblemError:
    """The exception for a response that is no result."""
    try:
        document = _adapter(Problem).validate_json(response.content)
    except ValidationError:  # from a proxy, or from no such service at all
        document = Problem(
            type="about:blank",  # what RFC 9457 has for "see the status"
            title=_phrase(response.status_code),
            status=response.status_code,
            detail=f"the response is no problem document: {response.text[:_SHOWN]!r}",
            request_id=response.headers.get("X-Request-ID", ""),
        )
    return problem_error(document, headers(response), retry_after(response))


def headers(response: httpx.Response) -> Headers:
    """Request ID, rate limits, and whether the answer was cached."""
    cache = response.headers.get("X-Cache")
    return Headers(
        request_id=response.headers.get("X-Request-ID", ""),
        rate_limits=tuple(_rate_limits(response.headers)),
        cached=None if cache is None else cache == "hit",
    )


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that `Retry-After` says, which may be a number or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _rate_limits(headers: Mapping[str, str]) -> Iterator[RateLimit]:
    """`RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), joined by name."""
    policies = dict(_items(headers.get("RateLimit-Policy", "")))
    for name, state in _items(headers.get("RateLimit", "")):
        policy = policies.get(name, {})
        if {"q", "w"} <= policy.keys() and {"r", "t"} <= state.keys():
            yield RateLimit(
                name=name, limit=policy["q"], window=policy["w"], remaining=state["r"], resets_in=state["t"]
            )


def _items(value: str) -> Iterator[tuple[str, dict[str, int]]]:
    """The items of a structured field's list (RFC 9651) with their integer parameters."""
    for match in re.finditer(r'"([^"]*)"((?:\s*;\s*[a-z*][a-z0-9_.*-]*=[^;,]*)*)', value):
        parameters = re.findall(r";\s*([a-z*][a-z0-9_.*-]*)=(\d{1,15})(?=[;,\s]|$)", match[2])
        yield match[1], {name: int(number) for name, number in parameters}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _media_type(response: httpx.Response) -> str:
    content_type: str = response.headers.get("Content-Type", "")
    return content_type.partition(";")[0].strip().lower()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"


def _faults(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the body'}: {e['msg']}" for e in error.errors()[:3])
