"""Answers that were given before: in Redis, where replicas share one, else in bounded memory."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Protocol

from cachetools import TTLCache

from components.serving.observability import metrics
from components.serving.settings import Settings
from components.serving.storage.redis_client import AwayError, Shared


def answer_key(model: str, beam: int, n_best: int, explain: bool, kind: str, content: bytes) -> str:
    """Names an answer: the same content, read by the same version of the model with the same options."""
    digest = hashlib.sha256(content).hexdigest()
    how = f"{beam}:{n_best}" + (":explained" if explain else "")
    return f"ocr:answer:{_FORMAT}:{model}:{how}:{kind}:{digest}"


_FORMAT = 1  # of what is kept; another one is not looked for


class Cache(Protocol):
    """Keeps answers for a while."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, answer: bytes) -> None: ...


class NoCache:
    """Keeps nothing."""

    async def get(self, key: str) -> bytes | None:
        return None

    async def put(self, key: str, answer: bytes) -> None:
        pass


class MemoryCache:
    """The newest answers, so many at most."""

    def __init__(self, settings: Settings) -> None:
        self._answers: TTLCache[str, bytes] = TTLCache(settings.cache_answers, settings.cache_seconds)

    async def get(self, key: str) -> bytes | None:
        answer = self._answers.get(key)
        metrics.cached.labels("yes" if answer is not None else "no").inc()
        return answer

    async def put(self, key: str, answer: bytes) -> None:
        self._answers[key] = answer


class SharedCache:
    """Answers of all replicas; Redis itself bounds them (`maxmemory`) and forgets them in time."""

    def __init__(self, shared: Shared, seconds: int) -> None:
        self._shared, self._seconds = shared, seconds

    async def get(self, key: str) -> bytes | None:
        try:
            answer = await self._shared.ask(lambda: self._shared.redis.get(key))
        except AwayError:
            return None
        metrics.cached.labels("yes" if answer is not None else "no").inc()
        return answer.encode() if isinstance(answer, str) else answer

    async def put(self, key: str, answer: bytes) -> None:
        with suppress(AwayError):  # said in the log and in ocr_redis_away
            await self._shared.ask(lambda: self._shared.redis.set(key, answer, ex=self._seconds))


def build_cache(settings: Settings, shared: Shared | None) -> Cache:
    """The cache that the settings ask for."""
    if not settings.cache_answers:
        return NoCache()
    return MemoryCache(settings) if shared is None else SharedCache(shared, settings.cache_seconds)
