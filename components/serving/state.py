"""Application state: settings, callers, limits, counts, and the model once it is loaded."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Literal

from fastapi import Request

from components.serving.access.addresses import network
from components.serving.access.api_keys import Keys
from components.serving.access.rate_limits import Caller, Limits, allowance
from components.serving.inference.client import InferenceClient
from components.serving.observability.history import MetricsHistory
from components.serving.observability.prediction_log import PredictionLog
from components.serving.observability.usage import NO_KEY, Usage
from components.serving.schemas.problems import Problem, busy
from components.serving.schemas.responses import Health, ModelInfo
from components.serving.settings import Settings
from components.serving.storage.feedback import Feedback
from components.serving.storage.redis_client import RedisClient

_HEALTH_SECONDS = 2.0  # a health check is cached so long: anybody may request one


@dataclass(frozen=True)
class Model:
    """The model, and a picture that it is known to read."""

    info: ModelInfo
    example: bytes  # a picture file
    example_formula: str  # what the model read there when it was exported


@dataclass
class Counts:
    """Counts of this replica since it started."""

    started: float = field(default_factory=time.monotonic)
    requests: int = 0
    pictures: int = 0
    cache_hits: int = 0
    in_flight: int = 0

    def add_picture(self, cached: bool) -> None:
        self.pictures += 1
        self.cache_hits += cached

    def as_dict(self) -> dict[str, float]:
        """With `uptime`, seconds, in place of the start."""
        counts = {name: value for name, value in vars(self).items() if name != "started"}
        return {"uptime": round(time.monotonic() - self.started, 3), **counts}


class AppState:
    """State shared by the routes; `open` adds the model once it is loaded."""

    def __init__(self, settings: Settings, version: str) -> None:
        """Raises KeysError, and ValueError for an invalid REDIS_URL or an address that nothing opens."""
        self.settings, self.version = settings, version
        self.keys = Keys(settings)
        url = settings.redis_url
        self.redis = RedisClient(url.get_secret_value(), settings.redis_timeout) if url is not None else None
        self.limits = Limits(settings, self.redis)
        self.prediction_log = PredictionLog(settings)
        self.feedback = Feedback(settings, self.redis)
        self.usage = Usage(settings, self._label)
        self.counts = Counts()
        self.history = MetricsHistory()
        self._open: tuple[InferenceClient, Model] | None = None
        self._health: tuple[float, Health] | None = None
        self._health_lock = asyncio.Lock()

    def open(self, client: InferenceClient, model: Model) -> None:
        """Start serving: from now on there is a model."""
        self._open = client, model

    def _label(self, key: str) -> str:
        """The key's name in metrics: its ID if it is among the first USAGE_KEY_LABELS, for which alone there
        are labels."""
        if key == NO_KEY:
            return "none"
        return key if self.keys.rank(key) < self.settings.usage_key_labels else "other"

    async def close(self) -> None:
        """Write what waits to be written. Never raises."""
        await asyncio.to_thread(self.prediction_log.close)
        await asyncio.to_thread(self.usage.close)

    @property
    def client(self) -> InferenceClient:
        return self._require_open()[0]

    @property
    def model(self) -> Model:
        return self._require_open()[1]

    def caller(self, request: Request) -> Caller:
        """Identify the caller. Raises Problem (401) for an unknown key, even if none is required."""
        presented = _presented_key(request) if self.settings.auth != "off" else None
        if presented is None:
            host = request.client.host if request.client else "unknown"
            return Caller(f"at:{network(host)}", host, allowance(self.settings, None))
        key = self.keys.find(presented)
        if key is None:
            raise Problem(
                401,
                "unknown-key",
                "This API key is unknown, expired or revoked.",
                {"WWW-Authenticate": "Bearer"},
            )
        return Caller(f"key:{key.id}", key.name, allowance(self.settings, key), key.id, key.admin)

    async def health(self) -> Health:
        """The health check, at most two seconds old."""
        async with self._health_lock:
            now = time.monotonic()
            if self._health is None or now - self._health[0] > _HEALTH_SECONDS:
                self._health = now, await self._check()
            return self._health[1]

    async def _check(self) -> Health:
        model: Literal["ok", "wrong", "away"]
        try:
            found = await self.client.check(self.model.example)
            model = "ok" if found.latex == self.model.example_formula else "wrong"
        except Problem:
            model = "away"
        queue, redis = self.counts.in_flight, self.redis
        return Health(
            healthy=model == "ok" and queue < self.settings.max_queue,
            model=model,
            redis="not used" if redis is None else "ok" if await redis.ping() else "away",
            queue=queue,
            queue_limit=self.settings.max_queue,
        )

    def _require_open(self) -> tuple[InferenceClient, Model]:
        if self._open is None:
            raise busy("The model is still loading.", 2)
        return self._open


def state_of(request: Request) -> AppState:
    """The application's state."""
    state: AppState = request.app.state.service
    return state


def _presented_key(request: Request) -> str | None:
    """The API key in the request's headers."""
    if (key := request.headers.get("x-api-key")) is not None:
        return key.strip()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
