"""Rate limits of a caller: pictures a minute, an hour and a day, and concurrent requests.

The `limits` library counts in fixed windows that begin with a caller's first request: exact under
concurrency, and one number per caller and window. Replicas that share a Redis share the counts; while it is
unavailable each replica counts alone.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
)
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from components.serving.access.api_keys import Key
from components.serving.schemas.problems import Problem
from components.serving.settings import Settings
from components.serving.storage.redis_client import RedisClient, RedisUnavailable

_LEASE = 120  # seconds until a request of a dead replica no longer counts

T = TypeVar("T")


@dataclass(frozen=True)
class Allowance:
    """A caller's limits."""

    minute: int
    hour: int
    day: int
    at_once: int


@dataclass(frozen=True)
class Caller:
    """The caller: an API key, or an address."""

    id: str  # key of the counts
    name: str  # shown in logs
    allowance: Allowance
    key_id: str | None = None
    admin: bool = False

    @property
    def keyed(self) -> bool:
        """Whether it has a key."""
        return self.key_id is not None


@dataclass(frozen=True)
class Tier:
    """State of one limit of a caller."""

    name: str
    limit: int
    window: int  # seconds
    remaining: int
    resets_in: int  # seconds


def allowance(settings: Settings, key: Key | None) -> Allowance:
    """The limits of a caller with this key: the key's own, else a multiple of those without a key."""
    factor = settings.rate_limit_key_factor if key is not None else 1
    usual = {
        tier: factor * getattr(settings, f"rate_limit_{tier}")
        for tier in ("minute", "hour", "day", "at_once")
    }
    return Allowance(**usual | (key.limits.model_dump(exclude_none=True) if key is not None else {}))


class Limits:
    """Counts and limits the callers' requests."""

    def __init__(self, settings: Settings, redis: RedisClient | None) -> None:
        self.on = settings.rate_limits == "on"
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._redis = redis
        if redis is not None:
            url = settings.redis_url
            assert url is not None
            storage = RedisStorage(
                f"async+{url.get_secret_value()}",
                implementation="redispy",
                key_prefix="ocr:limit",
                connection_pool=redis.redis.connection_pool,  # type: ignore[arg-type]
            )
            self._shared_counts = FixedWindowRateLimiter(storage)
        self._running: Counter[str] = Counter()

    async def use(self, caller: Caller, pictures: int = 1) -> None:
        """Count so many pictures, all or none. Raises Problem (429)."""
        if not self.on:
            return
        for name, item in _items(caller.allowance):
            # Several must fit together; an exceeded count is never taken back.
            fits = pictures == 1 or await self._ask(FixedWindowRateLimiter.test, item, caller, cost=pictures)
            if not fits or not await self._ask(FixedWindowRateLimiter.hit, item, caller, cost=pictures):
                raise await self._refusal(caller, name, item)

    @asynccontextmanager
    async def slot(self, caller: Caller) -> AsyncIterator[None]:
        """Hold one of the caller's concurrent requests. Raises Problem (429)."""
        if not self.on:
            yield
            return
        limit = caller.allowance.at_once
        ticket = secrets.token_hex(8)
        self._running[caller.id] += 1
        try:
            if self._running[caller.id] > limit or not await self._lease(caller, ticket, limit):
                raise Problem(
                    429,
                    "too-many-at-once",
                    f"The limit is {limit} concurrent requests; wait for one to end.",
                    {"Retry-After": "1"},
                )
            try:
                yield
            finally:
                await self._release(caller, ticket)
        finally:
            self._running[caller.id] -= 1
            if not self._running[caller.id]:
                del self._running[caller.id]

    async def tiers(self, caller: Caller) -> list[Tier]:
        """State of the caller's limits; does not count."""
        items = _items(caller.allowance)
        stats = await asyncio.gather(
            *(self._ask(FixedWindowRateLimiter.get_window_stats, item, caller) for _, item in items)
        )
        now = time.time()
        return [
            Tier(
                name=name,
                limit=item.amount,
                window=item.get_expiry(),
                remaining=max(0, stat.remaining),
                resets_in=max(0, math.ceil(stat.reset_time - now)) if stat.remaining < item.amount else 0,
            )
            for (name, item), stat in zip(items, stats, strict=True)
        ]

    def under_way(self, caller: Caller) -> int:
        """The caller's requests in flight on this replica."""
        return self._running[caller.id]

    async def headers(self, caller: Caller) -> dict[str, str]:
        """The caller's limits as `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers-10)."""
        return _fields(await self.tiers(caller)) if self.on else {}

    async def _refusal(self, caller: Caller, name: str, item: RateLimitItem) -> Problem:
        tiers = await self.tiers(caller)
        wait = max(1, next(tier.resets_in for tier in tiers if tier.name == name))
        return Problem(
            429,
            "too-many-requests",
            f"The limit is {item.amount} pictures a {name}; retry in {wait} s.",
            {"Retry-After": str(wait), **_fields(tiers)},
        )

    async def _ask(
        self, what: Callable[..., Awaitable[T]], item: RateLimitItem, caller: Caller, **options: int
    ) -> T:
        """Query the shared counts, or this replica's own; `what` is a method of FixedWindowRateLimiter."""
        if self._redis is not None:
            with suppress(RedisUnavailable):  # logged, and in ocr_redis_away
                return await self._redis.ask(lambda: what(self._shared_counts, item, caller.id, **options))
        return await what(self._local, item, caller.id, **options)

    async def _lease(self, caller: Caller, ticket: str, limit: int) -> bool:
        redis = self._redis
        if redis is None:
            return True
        now = time.time()
        arguments = (now, now - _LEASE, limit, ticket, _LEASE)
        try:
            return bool(await redis.ask(lambda: redis.redis.eval(_TAKE, 1, _running_key(caller), *arguments)))
        except RedisUnavailable:
            return True

    async def _release(self, caller: Caller, ticket: str) -> None:
        redis = self._redis
        if redis is not None:
            with suppress(RedisUnavailable):  # the lease expires
                await redis.ask(lambda: redis.redis.zrem(_running_key(caller), ticket))


# Requests in flight are a sorted set of tickets by time, so that those of a dead replica can be dropped.
_TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""


def _running_key(caller: Caller) -> str:
    return f"ocr:running:{caller.id}"


def _items(may: Allowance) -> list[tuple[str, RateLimitItem]]:
    return [
        ("minute", RateLimitItemPerMinute(may.minute)),
        ("hour", RateLimitItemPerHour(may.hour)),
        ("day", RateLimitItemPerDay(may.day)),
    ]


def _fields(tiers: list[Tier]) -> dict[str, str]:
    return {
        "RateLimit-Policy": ", ".join(f'"{t.name}";q={t.limit};w={t.window}' for t in tiers),
        "RateLimit": ", ".join(f'"{t.name}";r={t.remaining};t={t.resets_in}' for t in tiers),
    }
