"""The outermost middleware: request IDs, security headers, unhandled errors, and the audit log.

An audit line says who requested what, how long it took and how it ended; never the picture, ink or key.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.serving.observability import metrics
from components.serving.schemas.problems import MEDIA_TYPE, internal

ID = r"[A-Za-z0-9._-]{1,64}"
_ID = re.compile(ID)  # a caller's own request ID; anything else could forge log lines

_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")

USED = ("/predict", "/predict/strokes", "/predict/batch", "/feedback")  # routes that count as usage

_SECURE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}

audit = logging.getLogger("audit")
logger = logging.getLogger(__name__)


@dataclass
class RequestContext:
    """What is known of a request while it is processed."""

    request_id: str
    chosen: bool = False  # the caller chose the ID, and may have used it before
    start: float = field(default_factory=time.perf_counter)
    caller: str | None = None
    key_id: str | None = None
    outcome: str = "ok"  # or the kind of problem
    cached: bool | None = None
    confidence: float | None = None
    formulas: int = 0  # read for this request
    total_confidence: float = 0.0  # of all of them
    corrections: int = 0  # formulas that it corrected for the first time
    corrects: str | None = None  # ID of the request that this feedback corrects

    @property
    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self.start


def context_of(scope: Scope) -> RequestContext:
    """The context of a request."""
    context: RequestContext = scope["context"]
    return context


class RequestContextMiddleware:
    """Wraps the application. Each answered request increments `counts.requests`; right before that,
    `before_count` is called. `count_usage` is told of each request to read or to correct, and its status."""

    def __init__(
        self,
        app: ASGIApp,
        counts: Any,
        before_count: Callable[[], None],
        count_usage: Callable[[RequestContext, int], None],
    ) -> None:
        self.app, self.counts, self.before_count, self.count_usage = app, counts, before_count, count_usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), "")
        chosen = _ID.fullmatch(given) is not None
        context = RequestContext(given if chosen else secrets.token_hex(8), chosen)
        scope["context"] = context
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = context.request_id
                for name, value in _SECURE.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, observed)
        except Exception:
            logger.exception("request %s failed", context.request_id)
            context.outcome = "internal"
            if not status:  # BentoML would let the caller wait until the time-out
                document = internal().document(context.request_id).model_dump()
                await JSONResponse(document, 500, media_type=MEDIA_TYPE)(scope, receive, observed)
        finally:
            self.before_count()
            self.counts.requests += 1
            if _route(scope) in USED:
                self.count_usage(context, status)
            _log_request(scope, context, status)


def _route(scope: Scope) -> str:
    """The route's pattern; empty where none has matched."""
    return getattr(scope.get("route"), "path", "")


def _log_request(scope: Scope, context: RequestContext, status: int) -> None:
    # The route's pattern, not the path, and methods that there are: few labels, whatever is asked for.
    route = _route(scope) or "other"
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics.requests.labels(route, method, status).inc()
    metrics.seconds.labels(route).observe(context.elapsed)
    client = scope.get("client")
    audit.info(
        "request",
        extra={
            "request_id": context.request_id,
            "caller": context.caller,
            "address": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status or None,
            "outcome": context.outcome if status else "disconnected",
            "seconds": round(context.elapsed, 4),
            "cached": context.cached,
            "confidence": context.confidence,
            "corrects": context.corrects,
        },
    )
