"""The outermost layer: names every request, catches what nobody else caught, and writes the audit line.

The line says who asked what, how long it took and how it ended; never the picture, the ink or the key.
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

_METHODS = ("GET", "HEAD", "POST", "OPTIONS")

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
class Visit:
    """What is known of a request while it is worked on."""

    request_id: str
    chosen: bool = False  # whether the caller named it so, who may have others of the same name
    start: float = field(default_factory=time.perf_counter)
    caller: str | None = None
    outcome: str = "ok"  # or the kind of problem
    cached: bool | None = None
    confidence: float | None = None
    corrects: str | None = None  # the ID of the request that this one corrects

    @property
    def spent(self) -> float:
        """Seconds since the request came."""
        return time.perf_counter() - self.start


def visit_of(scope: Scope) -> Visit:
    """The visit that a request is."""
    visit: Visit = scope["visit"]
    return visit


class Observed:
    """Wraps the application. `counts.requests` grows with each request that has been answered; right before
    that, `look` is called."""

    def __init__(self, app: ASGIApp, counts: Any, look: Callable[[], None]) -> None:
        self.app, self.counts, self.look = app, counts, look

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), "")
        chosen = _ID.fullmatch(given) is not None
        visit = Visit(given if chosen else secrets.token_hex(8), chosen)
        scope["visit"] = visit
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = visit.request_id
                for name, value in _SECURE.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, observed)
        except Exception:
            logger.exception("request %s failed", visit.request_id)
            visit.outcome = "internal"
            if not status:  # an exception that got further would leave the caller waiting
                document = internal().document(visit.request_id).model_dump()
                await JSONResponse(document, 500, media_type=MEDIA_TYPE)(scope, receive, observed)
        finally:
            self.look()
            self.counts.requests += 1
            _tell(scope, visit, status)


def _tell(scope: Scope, visit: Visit, status: int) -> None:
    # The route's pattern, not the path, and methods that there are: few labels, whatever is asked for.
    route = getattr(scope.get("route"), "path", "") or "other"
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics.requests.labels(route, method, status).inc()
    metrics.seconds.labels(route).observe(visit.spent)
    client = scope.get("client")
    audit.info(
        "request",
        extra={
            "request_id": visit.request_id,
            "caller": visit.caller,
            "address": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status or None,
            "outcome": visit.outcome if status else "disconnected",
            "seconds": round(visit.spent, 4),
            "cached": visit.cached,
            "confidence": visit.confidence,
            "corrects": visit.corrects,
        },
    )
