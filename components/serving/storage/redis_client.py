"""Redis, which replicas share and nobody waits for: when it is away, its users go on by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from components.serving.observability import metrics

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CONNECTIONS = 64
_PING = 1.0  # seconds between two looks for a Redis that is away

logger = logging.getLogger(__name__)

T = TypeVar("T")


class AwayError(Exception):
    """Redis does not answer; its users do without."""


class Shared:
    """A Redis that may come and go: a failure opens the circuit, a ping in the background closes it again."""

    def __init__(self, url: str, timeout: float) -> None:
        """Raises ValueError where `url` is none. Does not connect."""
        # Here, since importing it takes half a second of a start that may not need it.
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        self._faults = (RedisError, OSError, TimeoutError)
        self._timeout = timeout
        # Who finds all connections taken waits for one: too many callers at once are no failure of Redis.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        self.redis: Redis = Redis.from_pool(pool)
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
        except self._faults as error:
            if not self.away:
                logger.error(
                    "Redis is away (%s): limits count here alone, the cache is passed by", _short(error)
                )
                metrics.redis_away.set(1)
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
        with contextlib.suppress(*self._faults):
            await self.redis.connection_pool.disconnect()  # they lead nowhere, even when it is back
        while True:
            await asyncio.sleep(_PING)
            with contextlib.suppress(*self._faults):
                async with asyncio.timeout(self._timeout):
                    await self.redis.ping()
                break
        self._looking = None
        metrics.redis_away.set(0)
        logger.warning("Redis is back: limits and cache are shared again")


def _short(error: BaseException) -> str:
    return type(error).__name__
