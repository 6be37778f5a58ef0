"""Routing that FastAPI leaves out: HEAD where GET is, and paths with a trailing slash without a redirect."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LenientRouting:
    """Wraps the application.

    HEAD is answered as GET without the body (RFC 9110, section 9.3.2). A trailing slash is ignored: a
    redirect would name `http` behind a proxy that ends TLS.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["path"] = scope["path"].rstrip("/") or "/"
        if scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        # A copy: the server must still see HEAD, or it waits for the body and closes the connection.
        inner = {**scope, "method": "GET"}
        try:
            await self.app(inner, receive, without_body)
        finally:
            scope["route"] = inner.get("route")  # for metrics
