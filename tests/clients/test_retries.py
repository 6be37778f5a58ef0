"""What the Python client tries again, how long it waits, and when it gives up; sync and async alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import httpx
import pytest

from handwritten_math_client import (
    AsyncClient,
    DeadlineExceededError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnavailableError,
    UnprocessableError,
    async_client,
    client,
    exchange,
)
from tests.clients.answers import Ask, Clock, Service, ask_async, ask_sync, problem, read

PICTURE = b"a picture"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(exchange, "time", clock)
    monkeypatch.setattr(client, "time", clock)
    monkeypatch.setattr(async_client.anyio, "sleep", clock.async_sleep)
    return clock


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("method", "arguments"), [("predict", (PICTURE,)), ("feedback", ("id", "x"))])
def test_it_waits_as_long_as_retry_after_says(
    ask: Ask, clock: Clock, status: int, method: str, arguments: Any
) -> None:
    last = read() if method == "predict" else httpx.Response(201, json={"request_id": "id", "formula": "x"})
    service = Service([problem(status, **{"Retry-After": "7"}), last], clock)
    assert ask(service, method, *arguments).formula == "x"
    assert clock.slept == [7.0] and len(service.requests) == 2
    assert service.requests[0].content and service.requests[1].content


def test_retry_after_may_be_a_date(ask: Ask, clock: Clock) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    ask(Service([problem(503, **{"Retry-After": date}), read()], clock), "predict", PICTURE)
    assert clock.slept == [pytest.approx(19.5, abs=1.5)]


@pytest.mark.parametrize("wait", ["40", "3600"])
def test_it_does_not_wait_beyond_its_deadline(ask: Ask, clock: Clock, wait: str) -> None:
    service = Service([problem(429, "too-many-requests", **{"Retry-After": wait})], clock)
    with pytest.raises(RateLimitedError) as raised:
        ask(service, "predict", PICTURE)
    assert raised.value.retry_after == float(wait) and raised.value.kind == "too-many-requests"
    assert raised.value.request_id == "0123" and clock.slept == []


def test_attempts_share_the_deadline(ask: Ask, clock: Clock) -> None:
    service = Service([problem(503, **{"Retry-After": "10"})] * 9, clock, takes=5)
    with pytest.raises(UnavailableError):
        ask(service, "predict", PICTURE, retries=8)
    assert clock.now <= 1040 and len(service.requests) == 3
    assert [request.extensions["timeout"]["read"] for request in service.requests] == [40, 25, 10]


def test_backoff_grows_and_is_capped_without_retry_after(ask: Ask, clock: Clock) -> None:
    service = Service([problem(502)] * 9, clock)
    with pytest.raises(ServerError):
        ask(service, "predict", PICTURE, retries=6, timeout=100)
    bounds = [0.5, 1, 2, 4, 8, 8]
    assert len(clock.slept) == len(bounds)
    assert all(bound / 2 <= slept <= bound for slept, bound in zip(clock.slept, bounds, strict=True))


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("no answer"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed"),
    ],
)
def test_a_broken_connection_is_tried_again(ask: Ask, clock: Clock, error: Exception) -> None:
    service = Service([error, error, read()], clock)
    assert ask(service, "predict", PICTURE).formula == "x"
    assert len(clock.slept) == 2


def test_feedback_that_may_have_arrived_is_not_sent_again(ask: Ask, clock: Clock) -> None:
    for outcome, error in (
        (httpx.ReadError("reset"), TransportError),
        (problem(502), ServerError),
        (problem(503), UnavailableError),
    ):
        service = Service([outcome], clock)
        with pytest.raises(error):
            ask(service, "feedback", "id", "x")
        assert len(service.requests) == 1
    unsent = Service(
        [httpx.ConnectError("refused"), httpx.Response(201, json={"request_id": "id", "formula": "x"})], clock
    )
    assert ask(unsent, "feedback", "id", "x").request_id == "id"


def test_a_wrong_request_is_not_sent_again(ask: Ask, clock: Clock) -> None:
    service = Service([problem(422, "nothing-written")], clock)
    with pytest.raises(UnprocessableError) as raised:
        ask(service, "predict", PICTURE)
    assert raised.value.kind == "nothing-written" and raised.value.problem.detail == "What is wrong"


def test_without_retries_there_is_one_attempt(ask: Ask, clock: Clock) -> None:
    for outcome, error in (
        (problem(503, **{"Retry-After": "1"}), UnavailableError),
        (httpx.ConnectError("refused"), TransportError),
    ):
        with pytest.raises(error):
            ask(Service([outcome], clock), "status", retries=0)
    assert clock.slept == []


def test_a_timeout_at_the_deadline_is_told_as_such(ask: Ask, clock: Clock) -> None:
    with pytest.raises(DeadlineExceededError) as raised:
        ask(Service([httpx.ReadTimeout("slow")], clock, takes=40), "predict", PICTURE)
    assert isinstance(raised.value, TimeoutError)


async def test_the_async_deadline_holds_for_a_response_that_trickles_in() -> None:
    async def trickle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            while True:
                await stream.send(b" ")
                await anyio.sleep(0.02)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as tasks, AsyncClient(f"http://127.0.0.1:{port}", timeout=0.3) as to:
        tasks.start_soon(listener.serve, trickle)
        with anyio.fail_after(5), pytest.raises(DeadlineExceededError):
            await to.status()
        tasks.cancel_scope.cancel()
