"""What was measured is told minute by minute, for three hours and no longer."""

from __future__ import annotations

import pytest
from prometheus_client import Counter, Histogram

from components.serving.observability import metrics
from components.serving.observability.history import MetricsHistory, psi, quantile
from tests.serving.conftest import png, serving


class Clock:
    def __init__(self) -> None:
        self.now = 6000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures that nobody has counted with."""
    monkeypatch.setattr(
        metrics, "requests", Counter("ocr_requests", "", ["route", "method", "status"], registry=None)
    )
    monkeypatch.setattr(metrics, "refusals", Counter("ocr_refusals", "", ["kind"], registry=None))
    quick, shares = metrics.QUICK, metrics.SHARES
    for name, histogram in {
        "seconds": Histogram("ocr_request_seconds", "", ["route"], buckets=quick, registry=None),
        "confidence": Histogram("ocr_confidence", "", buckets=shares, registry=None),
        "tokens": Histogram("ocr_tokens", "", buckets=(4, 8, 16), registry=None),
    }.items():
        monkeypatch.setattr(metrics, name, histogram)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def answered(history: MetricsHistory, count: int, seconds: float = 0.015, confidence: float = 0.85) -> None:
    """So many requests, as the service counts them."""
    for _ in range(count):
        metrics.confidence.observe(confidence)
        metrics.tokens.observe(7)
        history.sample()
        metrics.requests.labels("/predict", "POST", 200).inc()
        metrics.seconds.labels("/predict").observe(seconds)


def test_a_request_counts_in_the_minute_in_which_it_ended(clock: Clock) -> None:
    history = MetricsHistory(clock)
    answered(history, 3)
    clock.now += 60
    answered(history, 2)
    metrics.requests.labels("/metrics", "GET", 200).inc()
    clock.now += 120
    minutes = history.report().minutes
    assert [m.answered for m in minutes] == [3, 2, 0, 0]
    assert [(m.start - minutes[0].start).seconds for m in minutes] == [0, 60, 120, 180]
    assert minutes[0].median == pytest.approx(0.015) and minutes[0].tokens == 7
    assert minutes[0].confidence == pytest.approx(0.85)
    assert minutes[2].median is minutes[2].confidence is minutes[2].tokens is None


def test_what_no_request_followed_is_told_in_the_minute_that_has_begun(clock: Clock) -> None:
    history = MetricsHistory(clock)
    metrics.requests.labels("/predict", "POST", 429).inc()
    metrics.requests.labels("/feedback", "POST", 503).inc()
    metrics.refusals.labels("no-mathml").inc()
    metrics.refusals.labels("busy").inc()
    [minute] = history.report().minutes
    assert (minute.answered, minute.refused, minute.failed) == (0, 1, 1)
    assert minute.problems == {"busy": 1}, "a formula that can't be typeset was read"


def test_three_hours_are_kept_however_long_it_runs(clock: Clock) -> None:
    history = MetricsHistory(clock)
    for _ in range(400):
        answered(history, 1)
        clock.now += 60
    minutes = history.report().minutes
    assert len(minutes) == 180 and sum(m.answered for m in minutes) == 179, "the last has only begun"
    clock.now += 10 * 86_400
    assert [m.answered for m in history.report().minutes] == [0] * 180
    clock.now -= 86_400  # put back
    answered(history, 2)
    assert [m.answered for m in history.report().minutes] == [2]


def test_drift_is_told_once_there_is_enough_to_compare(clock: Clock) -> None:
    history = MetricsHistory(clock)
    for minute in range(60):
        answered(history, 10, confidence=0.85 if minute < 40 else 0.35)
        clock.now += 60
    drift = [m.drift.get("confidence") for m in history.report().minutes]
    assert drift[0] is None
    assert drift[39] is not None and drift[39] < 0.1 < 0.2 < drift[59]  # type: ignore[operator]
    assert history.report().minutes[59].drift["tokens"] < 0.1


def test_quantiles_are_those_of_prometheus() -> None:
    assert quantile(0.5, (1, 2, 4), (0, 10, 0, 0)) == 1.5
    assert quantile(0.95, (1, 2, 4), (0, 0, 0, 5)) == 4, "beyond the last bound nothing is known"
    assert quantile(0.25, (1, 2, 4), (2, 2, 0, 0)) == 0.5
    assert quantile(0.5, (1, 2, 4), (0, 0, 0, 0)) is None is quantile(0.5, (1, 2), ())


def test_stability_is_nothing_for_the_same_and_much_for_another() -> None:
    assert psi((100, 300, 0), (50, 150, 0)) == pytest.approx(0, abs=0.01)
    assert psi((300, 100), (100, 300)) == pytest.approx(1.08, abs=0.02)
    assert psi((99, 0), (200, 200)) is None is psi((), ())


async def test_the_route_tells_it_and_needs_no_key() -> None:
    async with serving(auth="required", rate_limits="on") as service:
        assert [m["answered"] for m in (await service.client.get("/history")).json()["minutes"]] == [0]
        headers = {"content-type": "image/png"}
        assert (await service.client.post("/predict", content=png(), headers=headers)).status_code == 401
        minutes = (await service.client.get("/history")).json()["minutes"]
        assert sum(m["refused"] for m in minutes) == 1  # two minutes, where one ended meanwhile
        assert sum(m["problems"].get("key-needed", 0) for m in minutes) == 1
