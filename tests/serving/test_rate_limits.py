"""Limits hold exactly, in memory; tests/integration/test_redis.py holds them in Redis."""

from __future__ import annotations

import asyncio

import pytest

from components.serving.access.api_keys import Key, KeyLimits
from components.serving.access.rate_limits import Allowance, Caller, Limits, allowance
from components.serving.schemas.problems import Problem
from components.serving.settings import Settings

ADA = Caller("at:ada", "Ada", Allowance(minute=10, hour=100, day=500, at_once=5))


def limits(**settings: object) -> Limits:
    return Limits(Settings(**settings), None)


async def outcomes(counted: Limits, caller: Caller, requests: int, pictures: int = 1) -> list[str]:
    async def one() -> str:
        try:
            await counted.use(caller, pictures)
        except Problem as problem:
            return problem.kind
        return "ok"

    return list(await asyncio.gather(*(one() for _ in range(requests))))


def test_of_a_hundred_at_once_ten_are_let_in() -> None:
    found = asyncio.run(outcomes(limits(), ADA, 100))
    assert (found.count("ok"), found.count("too-many-requests")) == (10, 90)


def test_callers_do_not_use_up_each_other_s() -> None:
    async def both() -> None:
        counted, bob = limits(), Caller("at:bob", "Bob", ADA.allowance)
        assert (await outcomes(counted, ADA, 20)).count("ok") == 10
        assert (await outcomes(counted, bob, 20)).count("ok") == 10

    asyncio.run(both())


@pytest.mark.parametrize("tier", ["minute", "hour", "day"])
def test_each_tier_refuses_and_says_when_to_go_on(tier: str) -> None:
    may = Allowance(**{"minute": 9, "hour": 9, "day": 9, "at_once": 9} | {tier: 3})

    async def used() -> Problem:
        counted, caller = limits(), Caller("at:x", "x", may)
        for _ in range(3):
            await counted.use(caller)
        with pytest.raises(Problem) as caught:
            await counted.use(caller)
        return caught.value

    problem = asyncio.run(used())
    window = {"minute": 60, "hour": 3600, "day": 86400}[tier]
    assert problem.status == 429 and f"3 pictures a {tier}" in problem.detail
    assert window - 2 <= int(problem.headers["Retry-After"]) <= window
    assert f'"{tier}";r=0' in problem.headers["RateLimit"]
    assert f'"{tier}";q=3;w={window}' in problem.headers["RateLimit-Policy"]


def test_several_pictures_fit_as_a_whole_or_not_at_all() -> None:
    async def used() -> None:
        counted = limits()
        assert await outcomes(counted, ADA, 1, pictures=8) == ["ok"]
        assert await outcomes(counted, ADA, 1, pictures=3) == ["too-many-requests"]
        assert await outcomes(counted, ADA, 1, pictures=2) == ["ok"]
        assert [tier.remaining for tier in await counted.tiers(ADA)] == [0, 90, 490]

    asyncio.run(used())


def test_so_many_requests_at_once_and_no_more() -> None:
    async def held() -> None:
        counted, gate = limits(), asyncio.Event()

        async def one() -> str:
            try:
                async with counted.slot(ADA):
                    await gate.wait()
            except Problem as problem:
                return problem.kind
            return "ok"

        running = [asyncio.create_task(one()) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert counted.under_way(ADA) == 5
        gate.set()
        found = await asyncio.gather(*running)
        assert (found.count("ok"), found.count("too-many-at-once")) == (5, 15)
        assert counted.under_way(ADA) == 0
        async with counted.slot(ADA):  # and afterwards there is room
            pass

    asyncio.run(held())


def test_switched_off_nothing_is_counted() -> None:
    counted = limits(rate_limits="off")
    assert set(asyncio.run(outcomes(counted, ADA, 2000))) == {"ok"}


def test_a_key_doubles_what_its_own_limits_do_not_say() -> None:
    settings = Settings()
    key = Key(id="0" * 8, name="k", hash="0" * 64, created="2026-01-01T00:00:00Z", limits=KeyLimits(day=7))
    assert allowance(settings, None) == Allowance(10, 100, 500, 5)
    assert allowance(settings, key) == Allowance(20, 200, 7, 10)
