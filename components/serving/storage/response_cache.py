"""Cache of predictions: in Redis if replicas share one, else in bounded memory."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Protocol

from cachetools import TTLCache

from components.recognizer.decoding import UNRESTRICTED, Restriction
from components.serving.observability import metrics
from components.serving.settings import Settings
from components.serving.storage.redis_client import RedisClient, RedisUnavailable


def cache_key(
    model: str, beam: int, n_best: int, explain: bool, restriction: Restriction, kind: str, content: bytes
) -> str:
    """The key of a prediction: content, model version and options."""
    digest = hashlib.sha256(content).hexdigest()
    how = f"{beam}:{n_best}" + (":explained" if explain else "")
    if restriction != UNRESTRICTED:
        usable = None if restriction.usable is None else sorted(restriction.usable)
        how += (
            ":" + hashlib.sha256(repr((restriction.prefix, restriction.tokens, usable)).encode()).hexdigest()
        )
    return f"ocr:answer:{_FORMAT}:{model}:{how}:{kind}:{digest}"


_FORMAT = 2  # of cached predictions; others are not looked up


class ResponseCache(Protocol):
    """Caches predictions for a while."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, answer: bytes) -> None: ...


class NullCache:
    """Caches nothing."""

    async def get(self, key: str) -> bytes | None:
        return None

    async def put(self, key: str, answer: bytes) -> None:
        pass


class MemoryCache:
    """The newest predictions, up to a limit."""

    def __init__(self, settings: Settings) -> None:
        self._answers: TTLCache[str, bytes] = TTLCache(settings.cache_answers, settings.cache_seconds)

    async def get(self, key: str) -> bytes | None:
        answer = self._answers.get(key)
        metrics.cached.labels("yes" if answer is not None else "no").inc()
        return answer

    async def put(self, key: str, answer: bytes) -> None:
        self._answers[key] = answer


class RedisCache:
    """Shared by all replicas; Redis bounds it (`maxmemory`) and expires its entries."""

    def __init__(self, shared: RedisClient, seconds: int) -> None:
        self._redis, self._seconds = shared, seconds

    async def get(self, key: str) -> bytes | None:
        try:
            answer = await self._redis.ask(lambda: self._redis.redis.get(key))
        except RedisUnavailable:
            return None
        metrics.cached.labels("yes" if answer is not None else "no").inc()
        return answer.encode() if isinstance(answer, str) else answer

    async def put(self, key: str, answer: bytes) -> None:
        with suppress(RedisUnavailable):  # logged, and in ocr_redis_away
            await self._redis.ask(lambda: self._redis.redis.set(key, answer, ex=self._seconds))


def build_response_cache(settings: Settings, shared: RedisClient | None) -> ResponseCache:
    """The cache that the settings ask for."""
    if not settings.cache_answers:
        return NullCache()
    return MemoryCache(settings) if shared is None else RedisCache(shared, settings.cache_seconds)
