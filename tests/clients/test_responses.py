"""How the Python client reads responses, and what it refuses to send."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from handwritten_math_client import (
    BadRequestError,
    Client,
    NotFoundError,
    Prediction,
    Problem,
    ProblemError,
    RateLimit,
    RateLimitedError,
    Reading,
    ServerError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedResponseError,
    UnprocessableError,
)
from tests.clients.answers import LIMITS, READING, Clock, Service, ask_sync, problem, read


def answer(response: httpx.Response, method: str = "predict", *arguments: Any) -> Any:
    return ask_sync(Service([response], Clock()), method, *(arguments or (b"a picture",)), retries=0)


def test_a_prediction_has_its_request_id_and_the_rate_limits() -> None:
    found = answer(read())
    assert isinstance(found, Prediction)
    assert (found.formula, found.confidence, found.request_id) == ("x", 0.75, "9f86d081884c7d65")
    assert found.timestamp == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert found.headers.cached is False
    assert found.headers.rate_limits == (
        RateLimit(name="minute", limit=10, window=60, remaining=9, resets_in=60),
        RateLimit(name="hour", limit=100, window=3600, remaining=99, resets_in=3600),
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.formula = "y"  # type: ignore[misc]


@pytest.mark.parametrize("value", ["", "nonsense", '"minute"', '"minute";r=;t=1', '"minute";r=-1;t=2'])
def test_rate_limits_that_cannot_be_read_are_left_out(value: str) -> None:
    found = answer(httpx.Response(200, json=READING, headers=LIMITS | {"RateLimit": value}))
    assert found.headers.rate_limits == ()


def test_fields_of_a_newer_service_are_ignored() -> None:
    assert answer(httpx.Response(200, json=READING | {"new": 1})).formula == "x"


def test_a_batch_has_readings_and_problems() -> None:
    bad = problem(422, "not-a-picture").json()
    body = {"results": [READING, bad], "processing_time": 0.5}
    good, failed = answer(httpx.Response(200, json=body), "predict_batch", [b"1", b"2"]).results
    assert isinstance(good, Reading) and good.formula == "x"
    assert isinstance(failed, Problem) and (failed.status, failed.kind) == (422, "not-a-picture")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),
        (401, UnauthorizedError),
        (404, NotFoundError),
        (408, BadRequestError),
        (413, BadRequestError),
        (415, BadRequestError),
        (422, UnprocessableError),
        (429, RateLimitedError),
        (500, ServerError),
        (503, UnavailableError),
    ],
)
def test_each_problem_has_its_exception(status: int, error: type[ProblemError]) -> None:
    with pytest.raises(ProblemError) as raised:
        answer(problem(status, "a-kind"))
    assert type(raised.value) is error
    assert (raised.value.status, raised.value.kind, raised.value.request_id) == (status, "a-kind", "0123")


@pytest.mark.parametrize("status", [301, 404, 502])
def test_an_error_of_a_proxy_is_a_problem_too(status: int) -> None:
    page = httpx.Response(status, html="<h1>No</h1>", headers={"Location": "http://elsewhere/"})
    with pytest.raises(ProblemError) as raised:
        answer(page)
    assert (raised.value.status, raised.value.problem.type) == (status, "about:blank")


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"formula": "x"}),
        httpx.Response(200, json=READING | {"confidence": "high"}),
        httpx.Response(200, stream=httpx.ByteStream(b"no gzip"), headers={"Content-Encoding": "gzip"}),
    ],
)
def test_another_service_is_recognized(response: httpx.Response) -> None:
    with pytest.raises(UnexpectedResponseError):
        answer(response)


def test_an_unhealthy_service_is_a_result_and_an_overloaded_one_is_not() -> None:
    body = {"healthy": False, "model": "away", "redis": "not used", "queue": 0, "queue_limit": 128}
    service = Service([httpx.Response(503, json=body)], Clock())
    assert ask_sync(service, "health").healthy is False
    with pytest.raises(UnavailableError):
        ask_sync(Service([problem(503)], Clock()), "health", retries=0)


def test_the_key_is_sent_and_not_to_where_a_redirect_points() -> None:
    away = httpx.Response(307, headers={"Location": "http://elsewhere/predict"})
    service = Service([away], Clock())
    with pytest.raises(ProblemError):
        ask_sync(service, "predict", b"a picture", api_key="hm_1")
    [request] = service.requests
    assert request.headers["X-API-Key"] == "hm_1"
    assert request.headers["User-Agent"].startswith("handwritten-math-client/")


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("base_url", {"base_url": "localhost:3000"}),
        ("base_url", {"base_url": "ftp://service"}),
        ("api_key", {"api_key": ""}),
        ("api_key", {"api_key": "hm_1\n"}),
        ("timeout", {"timeout": 0}),
        ("retries", {"retries": -1}),
    ],
)
def test_settings_that_cannot_work_are_refused(field: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        Client(**{"base_url": "http://service"} | settings)


def test_input_that_cannot_work_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with Client("http://service", transport=httpx.MockTransport(Service([], Clock()))) as client:
        with pytest.raises(FileNotFoundError, match=r"none\.png"):
            client.predict(tmp_path / "none.png")
        with pytest.raises(TypeError, match="n_bset"):
            client.predict(b"a picture", n_bset=2)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="JSON"):
            client.predict_strokes([[(0, float("nan"))]])
