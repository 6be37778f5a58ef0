"""Redis, which replicas share and nobody waits for: when it is away, its users go on by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from components.serving import measures

_PING = 1.0  # seconds between two looks for a Redis that is away

logger = logging.getLogger(__name__)

T = TypeVar("T")


class AwayError(Exception):
    """Redis does not answer; its users do without."""


class Shared:
    """A Redis that may come and go: a failure opens the circuit, a ping in the background closes it again."""

    def __init__(self, url: str, timeout: float) -> None:
        """Raises ValueError where `url` is none. Does not connect."""
        self._timeout = timeout
        self.redis: Redis = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        self._looking: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        return self._looking is not None

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer of Redis. Raises AwayError: at once where it is known to be away, else in `timeout`."""
        if self.away:
            raise AwayError
        try:
            async with asyncio.timeout(self._timeout):
                return await question()
        except (RedisError, OSError, TimeoutError) as error:
            if not self.away:
                logger.error(
                    "Redis is away (%s): limits count here alone, the cache is passed by", _short(error)
                )
                measures.redis_away.set(1)
                self._looking = asyncio.create_task(self._look())
            raise AwayError from error

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            await self.ask(self.redis.ping)
        except AwayError:
            return False
        return True

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        await self.redis.aclose()

    async def _look(self) -> None:
        """Waits for Redis to come back."""
        while True:
            await asyncio.sleep(_PING)
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await self.redis.ping()
                break
        self._looking = None
        measures.redis_away.set(0)
        logger.warning("Redis is back: limits and cache are shared again")


def _short(error: BaseException) -> str:
    return type(error).__name__
