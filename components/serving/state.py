"""What the routes share: settings, callers, limits, counts, and the model once there is one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal

from fastapi import Request

from components.serving.access.api_keys import Keys
from components.serving.access.rate_limits import Caller, Limits, allowance
from components.serving.inference.client import Desk
from components.serving.observability.history import Past
from components.serving.observability.prediction_log import Monitor
from components.serving.schemas.problems import Problem, busy
from components.serving.schemas.responses import Health, ModelInfo
from components.serving.settings import Settings
from components.serving.storage.feedback import Feedback
from components.serving.storage.redis_client import Shared

_CHECKED = 2.0  # seconds that a thorough check is good for: anybody may ask for one


@dataclass(frozen=True)
class Model:
    """What reads, and a picture that it is known to read."""

    info: ModelInfo
    example: bytes  # a picture file
    example_formula: str  # what the model read there when it was exported


@dataclass
class Counts:
    """Of this replica, since it started."""

    started: float = field(default_factory=time.monotonic)
    requests: int = 0
    pictures: int = 0
    cache_hits: int = 0
    in_flight: int = 0

    def read(self, known: bool) -> None:
        self.pictures += 1
        self.cache_hits += known

    def as_dict(self) -> dict[str, float]:
        """With `uptime`, seconds, in place of the start."""
        counts = {name: value for name, value in vars(self).items() if name != "started"}
        return {"uptime": round(time.monotonic() - self.started, 3), **counts}


class Api:
    """What the routes work with; `open` gives it the model, once there is one."""

    def __init__(self, settings: Settings, version: str) -> None:
        """Raises KeysError, and ValueError for a bad REDIS_URL."""
        self.settings, self.version = settings, version
        self.keys = Keys(settings)
        url = settings.redis_url
        self.shared = Shared(url.get_secret_value(), settings.redis_timeout) if url is not None else None
        self.limits = Limits(settings, self.shared)
        self.monitor = Monitor(settings)
        self.feedback = Feedback(settings, self.shared)
        self.counts = Counts()
        self.history = Past()
        self._open: tuple[Desk, Model] | None = None
        self._health: tuple[float, Health] | None = None
        self._checking = asyncio.Lock()

    def open(self, desk: Desk, model: Model) -> None:
        """From now on there is something that reads."""
        self._open = desk, model

    @property
    def desk(self) -> Desk:
        return self._opened()[0]

    @property
    def model(self) -> Model:
        return self._opened()[1]

    def caller(self, request: Request) -> Caller:
        """Who asks. Raises Problem (401) for a key that is not known, even where none is needed."""
        presented = _presented(request) if self.settings.auth != "off" else None
        if presented is None:
            host = request.client.host if request.client else "unknown"
            return Caller(f"at:{_network(host)}", host, allowance(self.settings, None))
        key = self.keys.find(presented)
        if key is None:
            raise Problem(
                401,
                "unknown-key",
                "This API key is not known, or has expired or been revoked.",
                {"WWW-Authenticate": "Bearer"},
            )
        return Caller(f"key:{key.id}", key.name, allowance(self.settings, key), keyed=True)

    async def health(self) -> Health:
        """A thorough check, not older than two seconds."""
        async with self._checking:
            now = time.monotonic()
            if self._health is None or now - self._health[0] > _CHECKED:
                self._health = now, await self._check()
            return self._health[1]

    async def _check(self) -> Health:
        model: Literal["ok", "wrong", "away"]
        try:
            read = await self.desk.check(self.model.example)
            model = "ok" if read.formula == self.model.example_formula else "wrong"
        except Problem:
            model = "away"
        queue, shared = self.counts.in_flight, self.shared
        return Health(
            healthy=model == "ok" and queue < self.settings.max_queue,
            model=model,
            redis="not used" if shared is None else "ok" if await shared.ping() else "away",
            queue=queue,
            queue_limit=self.settings.max_queue,
        )

    def _opened(self) -> tuple[Desk, Model]:
        if self._open is None:
            raise busy("The model is being loaded.", 2)
        return self._open


def api_of(request: Request) -> Api:
    """The Api that a request is for."""
    api: Api = request.app.state.api
    return api


def _presented(request: Request) -> str | None:
    """The key that a request shows."""
    if (key := request.headers.get("x-api-key")) is not None:
        return key.strip()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _network(host: str) -> str:
    """What an address is counted by: who has one IPv6 address has a whole /64 of them."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(ip_network((address, 64), strict=False)) if address.version == 6 else host
