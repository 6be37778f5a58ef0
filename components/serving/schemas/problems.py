"""Errors of the API: problem documents (RFC 9457).

A problem says what is wrong with the request and what to do. It reveals no internals: no stack, path or
library.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"


class ProblemDocument(BaseModel):
    """An RFC 9457 problem document."""

    type: str = Field(description="kind of problem, for programs", examples=["urn:problem:nothing-written"])
    title: str = Field(description="kind of problem, for people", examples=["Unprocessable Content"])
    status: int = Field(description="the HTTP status", examples=[422])
    detail: str = Field(description="what is wrong with this request, and what to do")
    request_id: str = Field(description="ID to quote in support requests; also in `X-Request-ID`")


class Problem(Exception):  # noqa: N818  # what RFC 9457 calls it
    """A request that fails. `kind` is a short name, the end of the document's `type`."""

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers = status, kind, detail, dict(headers or {})

    def document(self, request_id: str) -> ProblemDocument:
        """The document for the request with this ID."""
        return ProblemDocument(
            type=f"urn:problem:{self.kind}",
            title=_TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            request_id=request_id,
        )


# Python 3.11 and 3.12 have older names for these.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


def internal() -> Problem:
    """The service failed; the log has the error under the request's ID."""
    return Problem(500, "internal", "The service failed; the request may be retried.")


def busy(detail: str, seconds: int = 1) -> Problem:
    """The service is temporarily overloaded or unavailable."""
    return Problem(503, "busy", detail, {"Retry-After": str(seconds)})
