"""A discrete-event model of replicas: requests, one core each, batches, a cache, autoscaling, zones.

A replica is a core, which its two processes share evenly while both have work: the API, which handles one
request at a time, and the recognizer, which reads one batch at a time, of all that waits when it begins.
Service times are drawn from measured ones. Requests go to a replica at random, as a Kubernetes Service does.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

_LEAST = 1e-9
_COARSE = 0.02  # a turn where many runs are needed, and milliseconds do not matter

Steps = Generator[simpy.Event, Any, Any]


@dataclass(frozen=True)
class ServiceTimes:
    """Measured seconds of one core."""

    request: float  # what a request takes beside reading: HTTP, decoding, the way to the recognizer and back
    hit: float  # what a request takes whose answer is cached
    batches: dict[int, tuple[float, ...]]  # reading so many pictures together, of different formulas

    def draw(self, size: int, chance: random.Random) -> float:
        """Seconds of reading a batch; between measured sizes in proportion."""
        sizes = sorted(self.batches)
        small = max(n for n in sizes if n <= size)
        large = min((n for n in sizes if n >= size), default=small)
        quantile = chance.random()
        low, high = (float(np.quantile(self.batches[n], quantile)) for n in (small, large))
        return low if small == large else low + (high - low) * (size - small) / (large - small)

    def nearest(self, size: int) -> tuple[float, ...]:
        """The measured seconds of the largest measured size up to this one."""
        return self.batches[max(n for n in self.batches if n <= size)]

    def most(self, size: int) -> float:
        """Pictures a second that a replica can read without a cache, in batches of this size."""
        return size / (size * self.request + float(np.mean(self.batches[size])))


@dataclass(frozen=True)
class Scenario:
    """What is simulated. `rate` are requests a second at a time in seconds."""

    rate: Callable[[float], float]
    most: float  # no rate is above it
    seconds: float
    replicas: int
    cache_hits: float = 0.0
    batch_size: int = 16
    max_queue: int = 128
    warm_up: float = 5.0  # seconds that are not counted
    background: float = 0.0  # other processes on each core, that always have work
    turn: float = 0.004  # seconds of work after which a process looks who else wants the core
    zones: int = 1
    lost_zone_at: float | None = None  # seconds; its replicas are gone from then on
    noticed_after: float = 10.0  # seconds until nobody sends to them any more
    autoscale: Autoscaling | None = None
    # Instead of random ones at `rate`: when each request comes, seconds, and to which replica.
    arrivals: tuple[tuple[float, int], ...] | None = None


@dataclass(frozen=True)
class Autoscaling:
    """As Kubernetes' horizontal pod autoscaler does by CPU."""

    least: int
    most: int
    target: float = 0.6  # utilisation
    every: float = 15.0  # seconds
    start: float = 45.0  # seconds from the decision until a new replica is ready
    patience: float = 300.0  # seconds before it takes a replica away


@dataclass
class Outcome:
    """What became of the requests that were counted."""

    seconds: list[float] = field(default_factory=list)  # of answered ones
    refused: int = 0  # the queue was full
    lost: int = 0  # their replica was gone
    counted: float = 0.0  # seconds of simulated time
    replicas: list[tuple[float, int]] = field(default_factory=list)  # (time, how many were ready)
    finished: list[tuple[float, float]] = field(default_factory=list)  # (time of arrival, seconds)

    @property
    def requests(self) -> int:
        return len(self.seconds) + self.refused + self.lost

    @property
    def failed(self) -> float:
        """The share of requests without an answer."""
        return (self.refused + self.lost) / max(1, self.requests)

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        return float(np.quantile(self.seconds, share)) if self.seconds else math.nan


class _Replica:
    def __init__(self, env: simpy.Environment, times: ServiceTimes, scenario: Scenario, number: int) -> None:
        self.env, self.times, self.scenario = env, times, scenario
        self.number, self.zone = number, number % scenario.zones
        self.api = simpy.Resource(env, 1)
        self.active = 0  # processes of this replica that have work
        self.waiting: deque[simpy.Event] = deque()
        self.wake: simpy.Event = env.event()
        self.in_flight = 0
        self.busy = 0.0  # seconds of work
        self.gone = False
        env.process(self._recognize())

    def handle(self, chance: random.Random) -> Steps:
        """Answer a request; returns whether it was accepted."""
        if self.in_flight >= self.scenario.max_queue:
            return False
        self.in_flight += 1
        try:
            hit = chance.random() < self.scenario.cache_hits
            with self.api.request() as turn:
                yield turn
                yield from self._work(self.times.hit if hit else self.times.request)
            if not hit:
                read = self.env.event()
                self.waiting.append(read)
                if not self.wake.triggered:
                    self.wake.succeed()
                yield read
        finally:
            self.in_flight -= 1
        return True

    def _recognize(self) -> Steps:
        chance = random.Random(self.number)
        while True:
            if not self.waiting:
                self.wake = self.env.event()
                yield self.wake
            size = min(len(self.waiting), self.scenario.batch_size)
            batch = [self.waiting.popleft() for _ in range(size)]
            yield from self._work(self.times.draw(size, chance))
            for read in batch:
                read.succeed()

    def _work(self, seconds: float) -> Steps:
        """Use the core for so long, of which all that want it get an equal part."""
        left = seconds
        self.active += 1
        while left > _LEAST:
            now = min(left, self.scenario.turn)
            yield self.env.timeout(now * (self.scenario.background + self.active))
            left -= now
        self.active -= 1
        self.busy += seconds


class _Fleet:
    """The replicas that there are, and who decides about them."""

    def __init__(self, env: simpy.Environment, times: ServiceTimes, scenario: Scenario) -> None:
        self.env, self.times, self.scenario = env, times, scenario
        self.replicas = [self._new(number) for number in range(scenario.replicas)]
        self.made = scenario.replicas
        self.starting = 0
        self.lost_zone: int | None = None
        if scenario.lost_zone_at is not None:
            env.process(self._lose(scenario.lost_zone_at))
        if scenario.autoscale is not None:
            env.process(self._scale(scenario.autoscale))

    def _new(self, number: int) -> _Replica:
        return _Replica(self.env, self.times, self.scenario, number)

    def _lose(self, at: float) -> Steps:
        yield self.env.timeout(at)
        self.lost_zone = 0
        gone = [replica for replica in self.replicas if replica.zone == 0]
        for replica in gone:
            replica.gone = True
        yield self.env.timeout(self.scenario.noticed_after)
        self.replicas = [replica for replica in self.replicas if not replica.gone]

    def _scale(self, how: Autoscaling) -> Steps:
        calm = 0.0
        before = dict.fromkeys(self.replicas, 0.0)
        while True:
            yield self.env.timeout(how.every)
            there = [replica for replica in self.replicas if not replica.gone]
            used = sum(replica.busy - before.get(replica, 0.0) for replica in there) / (
                how.every * max(1, len(there))
            )
            before = {replica: replica.busy for replica in self.replicas}
            wanted = min(how.most, max(how.least, math.ceil(len(there) * used / how.target)))
            if wanted > len(there) + self.starting:
                calm = 0.0
                for _ in range(wanted - len(there) - self.starting):
                    self.starting += 1
                    self.env.process(self._start(how.start))
            elif wanted < len(there):
                calm += how.every
                if calm >= how.patience:
                    self.replicas.pop()  # it answers what it has
                    calm = 0.0
            else:
                calm = 0.0

    def _start(self, seconds: float) -> Steps:
        yield self.env.timeout(seconds)
        self.starting -= 1
        replica = self._new(self.made)
        self.made += 1
        if replica.zone == self.lost_zone:
            replica.zone = (replica.zone + 1) % self.scenario.zones
        self.replicas.append(replica)


def simulate(times: ServiceTimes, scenario: Scenario, seed: int = 0) -> Outcome:
    """Run a scenario. The same seed gives the same arrivals."""
    env, chance, outcome = simpy.Environment(), random.Random(seed), Outcome()
    fleet = _Fleet(env, times, scenario)

    def request(to: int | None = None) -> Steps:
        at = env.now
        replica = chance.choice(fleet.replicas) if to is None else fleet.replicas[to]
        counted = at >= scenario.warm_up
        if replica.gone:
            outcome.lost += counted
            return
        accepted = yield from replica.handle(chance)
        if not counted:
            return
        if not accepted:
            outcome.refused += 1
        elif replica.gone:
            outcome.lost += 1
        else:
            outcome.seconds.append(env.now - at)
            outcome.finished.append((at, env.now - at))

    def recorded(arrivals: tuple[tuple[float, int], ...]) -> Steps:
        for at, to in arrivals:
            yield env.timeout(max(0.0, at - env.now))
            env.process(request(to))

    def arrivals() -> Steps:
        # A Poisson process whose rate changes, by thinning.
        while True:
            yield env.timeout(chance.expovariate(scenario.most))
            if chance.random() < scenario.rate(env.now) / scenario.most:
                env.process(request())

    def watch() -> Steps:
        while True:
            outcome.replicas.append((env.now, sum(not replica.gone for replica in fleet.replicas)))
            yield env.timeout(5)

    env.process(arrivals() if scenario.arrivals is None else recorded(scenario.arrivals))
    env.process(watch())
    env.run(until=scenario.seconds)
    outcome.counted = scenario.seconds - scenario.warm_up
    return outcome


def steady(rate: float, seconds: float, replicas: int = 1, **more: Any) -> Scenario:
    """So many requests a second, always."""
    return Scenario(lambda _: rate, rate, seconds, replicas, **more)


def most_within(
    times: ServiceTimes, p99: float, cache_hits: float = 0.0, seconds: float = 60, batch_size: int = 16
) -> float:
    """The highest rate, requests a second, of one replica whose 99th percentile stays within `p99` seconds
    and that refuses nothing; to a hundredth."""

    def holds(rate: float) -> bool:
        scenario = steady(rate, seconds, cache_hits=cache_hits, batch_size=batch_size, turn=_COARSE)
        outcome = simulate(times, scenario)
        return outcome.refused == 0 and outcome.quantile(0.99) <= p99

    low, high = 0.0, 1.2 * times.most(batch_size) / max(0.02, 1 - cache_hits)
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
