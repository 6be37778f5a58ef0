"""Redis, shared by replicas and waited for by nobody: while it is unavailable its users continue alone."""

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


class RedisUnavailable(Exception):  # noqa: N818
    """Redis does not answer; callers continue without it."""


class RedisClient:
    """A Redis behind a circuit breaker: a failure opens it, a ping in the background closes it again."""

    def __init__(self, url: str, timeout: float) -> None:
        """Raises ValueError for an invalid `url`. Does not connect."""
        # Imported here: it takes half a second, and many services run without Redis.
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        self._faults = (RedisError, OSError, TimeoutError)
        self._timeout = timeout
        # A caller waits for a free connection: many callers at once are no failure of Redis.
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
        self._waiting: asyncio.Task[None] | None = None

    @property
    def unavailable(self) -> bool:
        return self._waiting is not None

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Send a command. Raises RedisUnavailable: at once while the circuit is open, or after a timeout."""
        if self.unavailable:
            raise RedisUnavailable
        try:
            async with asyncio.timeout(self._timeout):
                return await question()
        except self._faults as error:
            if not self.unavailable:
                logger.error(
                    "Redis is unavailable (%s): this replica counts limits alone and skips the cache",
                    type(error).__name__,
                )
                metrics.redis_away.set(1)
                self._waiting = asyncio.create_task(self._wait_for_return())
            raise RedisUnavailable from error

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            await self.ask(self.redis.ping)
        except RedisUnavailable:
            return False
        return True

    async def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        await self.redis.aclose()

    async def _wait_for_return(self) -> None:
        """Ping until Redis answers again."""
        with contextlib.suppress(*self._faults):
            await self.redis.connection_pool.disconnect()  # stale even after Redis has returned
        while True:
            await asyncio.sleep(_PING)
            with contextlib.suppress(*self._faults):
                async with asyncio.timeout(self._timeout):
                    await self.redis.ping()
                break
        self._waiting = None
        metrics.redis_away.set(0)
        logger.warning("Redis is available again: limits and cache are shared")
