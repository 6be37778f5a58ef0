"""Addresses of callers behind trusted proxies, alike on IPv4, IPv6 and dual-stack sockets."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from components.serving.access.addresses import canonical


def trust_proxies(app: ASGIApp, proxies: list[str]) -> ASGIApp:
    """Wrap an application: `scope["client"]` becomes the caller's address, in canonical form.

    `X-Forwarded-For` and `X-Forwarded-Proto` count only from `proxies` (addresses, networks or `*`), by
    uvicorn's rules. A dual-stack socket shows an IPv4 proxy as `::ffff:a.b.c.d`, which those would not match.
    """
    inner = ProxyHeadersMiddleware(_CanonicalClient(app), proxies)  # type: ignore[arg-type]
    return _CanonicalClient(inner, forwarded=True)  # type: ignore[arg-type]


class _CanonicalClient:
    def __init__(self, app: ASGIApp, forwarded: bool = False) -> None:
        self.app, self.forwarded = app, forwarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if client := scope.get("client"):
            scope["client"] = (canonical(client[0]), client[1])
        if self.forwarded and "headers" in scope:
            scope["headers"] = [
                (name, _canonical_list(value) if name == b"x-forwarded-for" else value)
                for name, value in scope["headers"]
            ]
        await self.app(scope, receive, send)


def _canonical_list(value: bytes) -> bytes:
    hosts = value.decode("latin-1").split(",")
    return ", ".join(canonical(host.strip()) for host in hosts).encode("latin-1")
