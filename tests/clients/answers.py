"""A service that answers what a test tells it to, and a clock that a test can look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from handwritten_math_client import AsyncClient, Client

READING = {
    "formula": "x",
    "confidence": 0.75,
    "processing_time": 0.01,
    "timestamp": "2026-11-01T12:00:00Z",
}
LIMITS = {
    "X-Request-ID": "9f86d081884c7d65",
    "X-Cache": "miss",
    "RateLimit-Policy": '"minute";q=10;w=60, "hour";q=100;w=3600',
    "RateLimit": '"minute";r=9;t=60, "hour";r=99;t=3600',
}

Outcome = httpx.Response | Exception


def read() -> httpx.Response:
    return httpx.Response(200, json=READING, headers=LIMITS)


def problem(status: int, kind: str = "busy", **headers: str) -> httpx.Response:
    document = {
        "type": f"urn:problem:{kind}",
        "title": "A title",
        "status": status,
        "detail": "What is wrong",
        "request_id": "0123",
    }
    content_type = {"Content-Type": "application/problem+json", "X-Request-ID": "0123"}
    return httpx.Response(status, json=document, headers=content_type | headers)


@dataclass
class Clock:
    """The time that the client sees: it passes while it sleeps, and while it waits for the service."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


@dataclass
class Service:
    """Answers one outcome an attempt."""

    outcomes: Sequence[Outcome]
    clock: Clock
    takes: float = 0.0  # seconds an attempt
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.clock.now += self.takes
        outcome = self.outcomes[len(self.requests) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


Ask = Callable[..., Any]


def ask_sync(service: Service, method: str, *arguments: Any, **settings: Any) -> Any:
    """Call a method of a client whose service is this one."""
    with Client("http://service", transport=httpx.MockTransport(service), **settings) as client:
        return getattr(client, method)(*arguments)


def ask_async(service: Service, method: str, *arguments: Any, **settings: Any) -> Any:
    """The same, of an asynchronous client."""

    async def ask() -> Any:
        async with AsyncClient(
            "http://service", transport=httpx.MockTransport(service), **settings
        ) as client:
            return await getattr(client, method)(*arguments)

    return anyio.run(ask)
