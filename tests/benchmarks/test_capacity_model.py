"""The capacity model against what queueing theory knows, and against what cannot be otherwise."""

from __future__ import annotations

import math

import pytest

from benchmarks.capacity_model import Autoscaling, Scenario, ServiceTimes, most_within, simulate, steady

TEN = ServiceTimes(request=0.0, hit=0.0, batches={1: (0.01,)})  # 10 ms a picture, one at a time
BATCHED = ServiceTimes(request=0.002, hit=0.001, batches={1: (0.02,), 16: (0.08,)})


def test_an_empty_service_takes_the_service_time() -> None:
    outcome = simulate(TEN, steady(1, 60, batch_size=1))
    assert outcome.quantile(0.5) == pytest.approx(0.01, rel=0.01) and outcome.failed == 0


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_at_a_time_it_waits_as_an_m_d_1_queue_does(load: float) -> None:
    outcome = simulate(TEN, steady(100 * load, 150, batch_size=1))
    mean = sum(outcome.seconds) / len(outcome.seconds)
    assert mean == pytest.approx(0.01 * (1 + load / (2 * (1 - load))), rel=0.1)  # Pollaczek and Khinchine


def test_batches_carry_what_one_at_a_time_can_t() -> None:
    rate = 0.8 * BATCHED.most(16)
    assert rate > 1.5 * BATCHED.most(1)
    assert simulate(BATCHED, steady(rate, 20)).failed == 0
    assert simulate(BATCHED, steady(rate, 20, batch_size=1)).failed > 0.2, "the queue is full"


def test_beyond_what_it_can_the_rest_is_refused_and_the_others_wait_no_longer_than_the_queue() -> None:
    most = BATCHED.most(16)
    outcome = simulate(BATCHED, steady(1.5 * most, 30))
    assert outcome.failed == pytest.approx(1 / 3, abs=0.08)
    assert outcome.quantile(1) < 2.5 * 128 / most


def test_a_cached_answer_takes_no_reading() -> None:
    outcome = simulate(BATCHED, steady(10, 20, cache_hits=1.0))
    assert outcome.quantile(0.5) == pytest.approx(0.001, rel=0.01)
    assert most_within(BATCHED, 0.5, cache_hits=0.5, seconds=10) > 1.3 * most_within(BATCHED, 0.5, seconds=10)


def test_more_replicas_carry_more() -> None:
    rate = 1.6 * BATCHED.most(16)
    assert simulate(BATCHED, steady(rate, 15, 1)).failed > 0.2
    assert simulate(BATCHED, steady(rate, 15, 2)).failed < 0.01


def test_a_lost_zone_loses_what_it_had_and_what_is_sent_there_until_that_is_noticed() -> None:
    rate, noticed = 60.0, 5.0
    outcome = simulate(BATCHED, steady(rate, 50, 6, zones=3, lost_zone_at=30, noticed_after=noticed))
    assert outcome.lost == pytest.approx(rate * noticed / 3, rel=0.3)
    assert outcome.replicas[-1][1] == 4


def test_an_autoscaler_follows_a_burst_and_goes_back() -> None:
    most = BATCHED.most(16)
    scaling = Autoscaling(least=1, most=4, every=5, start=10, patience=5)
    rate = lambda at: (2 if 10 <= at < 50 else 0.1) * most  # noqa: E731
    outcome = simulate(BATCHED, Scenario(rate, 2 * most, 120, 1, autoscale=scaling))
    counts = [count for _, count in outcome.replicas]
    assert max(counts) >= 3 and counts[-1] == 1
    assert outcome.failed < simulate(BATCHED, Scenario(rate, 2 * most, 120, 1)).failed


def test_recorded_arrivals_are_played_again() -> None:
    arrivals = ((0.0, 0), (0.001, 0), (0.002, 1))
    outcome = simulate(TEN, steady(1, 1, 2, arrivals=arrivals, warm_up=0, batch_size=1))
    assert sorted(outcome.seconds) == pytest.approx([0.01, 0.01, 0.019])


def test_others_on_the_core_take_their_part() -> None:
    outcome = simulate(TEN, steady(1, 20, batch_size=1, background=2))
    assert outcome.quantile(0.5) == pytest.approx(0.03, rel=0.01)


def test_the_same_seed_is_the_same_run() -> None:
    runs = [simulate(BATCHED, steady(30, 10), seed) for seed in (1, 1, 2)]
    assert runs[0].seconds == runs[1].seconds != runs[2].seconds


def test_between_measured_sizes_times_lie_between() -> None:
    import random

    draws = [BATCHED.draw(size, random.Random(0)) for size in (1, 8, 16)]
    assert draws[0] < draws[1] < draws[2] and math.isclose(draws[1], 0.02 + 0.06 * 7 / 15)
