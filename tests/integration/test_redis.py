"""Limits and cached answers in a real Redis: shared by replicas, and done without while it is away."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import httpx
import pytest

from tests.integration.conftest import RedisServer, Serve, pictures, predict

pytestmark = pytest.mark.slow


async def statuses(addresses: list[str], files: list[bytes]) -> Counter[int]:
    """What so many requests at once are answered, spread over the addresses."""
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)) as client:
        answers = await asyncio.gather(
            *(
                client.post(
                    f"{addresses[n % len(addresses)]}/predict",
                    content=file,
                    headers={"content-type": "image/png"},
                )
                for n, file in enumerate(files)
            )
        )
    return Counter(answer.status_code for answer in answers)


def test_of_a_hundred_at_once_ten_are_answered(serve: Serve, redis: RedisServer) -> None:
    settings = {"rate_limits": "on", "redis_url": redis.url, "rate_limit_at_once": 100, "redis_timeout": 5}
    addresses = [serve(**settings).address for _ in range(2)]
    assert asyncio.run(statuses(addresses, pictures(1) * 100)) == {200: 10, 429: 90}


def test_five_at_once_over_all_replicas(serve: Serve, redis: RedisServer) -> None:
    settings = {"rate_limits": "on", "redis_url": redis.url, "cache_answers": 0, "redis_timeout": 5,
                "rate_limit_minute": 1000, "rate_limit_hour": 1000, "rate_limit_day": 1000}  # fmt: skip
    addresses = [serve(**settings).address for _ in range(2)]
    found = asyncio.run(statuses(addresses, pictures(40)))
    assert set(found) == {200, 429} and found[200] >= 5 and found[429] >= 1
    # All are done: there is room again.
    assert asyncio.run(statuses(addresses, pictures(5))) == {200: 5}


def test_an_answer_of_one_replica_is_known_to_the_other(serve: Serve, redis: RedisServer) -> None:
    one, other = (serve(redis_url=redis.url) for _ in range(2))
    [picture] = pictures(1)
    with httpx.Client(timeout=30) as client:
        marks = [
            client.post(
                f"{service.address}/predict", content=picture, headers={"content-type": "image/png"}
            ).headers["X-Cache"]
            for service in (one, other)
        ]
    assert marks == ["miss", "hit"]


@pytest.mark.parametrize("how", ["dies", "hangs"])
def test_when_it_goes_in_mid_traffic_answers_go_on_and_when_it_is_back_it_is_used(
    serve: Serve, redis: RedisServer, how: str
) -> None:
    service = serve(rate_limits="on", redis_url=redis.url, rate_limit_minute=30)
    [picture] = pictures(1)
    with httpx.Client(base_url=service.address, timeout=30) as client:
        assert '"minute";r=29' in predict(client, picture).headers["RateLimit"]
        redis.stop() if how == "dies" else redis.hang()
        first = time.perf_counter()
        answers = [predict(client, picture) for _ in range(10)]
        assert [answer.status_code for answer in answers] == [200] * 10
        assert time.perf_counter() - first < 5, "somebody waited for a dead Redis"
        assert '"minute";r=20' in answers[-1].headers["RateLimit"], "counted here meanwhile"
        assert "ocr_redis_away 1.0" in client.get("/metrics").text
        assert client.get("/health").json()["redis"] == "away"
        redis.start() if how == "dies" else redis.go_on()
        until = time.monotonic() + 10
        while client.get("/metrics").text.count("ocr_redis_away 1.0"):
            assert time.monotonic() < until, "it is back and is not used"
            time.sleep(0.2)
        back = predict(client, picture)
        left = '"minute";r=29' if how == "dies" else '"minute";r=28'
        assert left in back.headers["RateLimit"], "counted there again"
    assert service.log.count("Redis is unavailable") == service.log.count("Redis is available again") == 1


def test_a_redis_that_was_never_there_keeps_nobody_from_answers(serve: Serve) -> None:
    service = serve(rate_limits="on", redis_url="redis://127.0.0.1:9/0")
    with httpx.Client(base_url=service.address, timeout=30) as client:
        assert predict(client, pictures(1)[0]).status_code == 200
