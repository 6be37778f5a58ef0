"""Metrics by minute, for the dashboard: three hours, of this replica alone.

Prometheus keeps this better, for those who have one. Memory is bounded by 181 snapshots of some sixty
numbers. Snapshots are lazy: the first request after a minute boundary records them.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from components.recognizer.psi import population_stability_index
from components.serving.observability import metrics
from components.serving.observability.metrics import QUICK, SHARES
from components.serving.observability.request_context import USED
from components.serving.schemas.responses import History, Minute

_MINUTES = 180
_WINDOW = 30  # minutes compared with all before them
_ENOUGH = 100  # predictions needed before and in the window
_NO_PROBLEM = "no-mathml"  # the formula was read but not converted

Counts = tuple[float, ...]


@dataclass(frozen=True)
class Snapshot:
    """The metrics at one moment. `Counts` are those of a histogram's buckets."""

    start: int  # Unix time in minutes
    answered: float
    failed: float
    refused: float
    problems: Counter[str]
    seconds: Counts
    confidence: Counts
    tokens: Counts
    length: float  # of all tokens
    cache_lookups: float
    cache_hits: float


class MetricsHistory:
    """Snapshots of the last hours."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._snapshots: deque[Snapshot] = deque([_snapshot(self._minute())], maxlen=_MINUTES + 1)

    def sample(self) -> None:
        """Take a snapshot if a minute has begun since the last one. Call before a request is counted."""
        now, last = self._minute(), self._snapshots[-1].start
        if now == last:
            return
        if now < last:  # the clock was set back
            self._snapshots.clear()
        snapshot = _snapshot(now)
        gone = range(max(last + 1, now - _MINUTES), now) if self._snapshots else ()
        self._snapshots.extend(replace(snapshot, start=minute) for minute in gone)
        self._snapshots.append(snapshot)

    def report(self) -> History:
        """All minutes, including the current one."""
        self.sample()
        snapshots = [*self._snapshots, _snapshot(self._minute() + 1)]
        minutes = [
            _minute_between(earlier, later, _drift(snapshots, number))
            for number, (earlier, later) in enumerate(pairwise(snapshots))
        ]
        return History(minutes=minutes[-_MINUTES:])

    def _minute(self) -> int:
        return int(self._clock() // 60)


def _snapshot(start: int) -> Snapshot:
    statuses: dict[str, float] = defaultdict(float)
    for sample in _samples(metrics.requests, "_total"):
        if sample.labels["route"] in USED:
            statuses[sample.labels["status"][:1]] += sample.value
    problems = Counter({s.labels["kind"]: round(s.value) for s in _samples(metrics.refusals, "_total")})
    del problems[_NO_PROBLEM]
    found = {s.labels["found"]: s.value for s in _samples(metrics.cached, "_total")}
    return Snapshot(
        start=start,
        answered=statuses["2"],
        failed=statuses["5"],
        refused=statuses["4"],
        problems=problems,
        seconds=_buckets(metrics.seconds),
        confidence=_buckets(metrics.confidence),
        tokens=_buckets(metrics.tokens),
        length=sum(s.value for s in _samples(metrics.tokens, "_sum")),
        cache_lookups=sum(found.values()),
        cache_hits=found.get("yes", 0),
    )


def _samples(metric: MetricWrapperBase, suffix: str) -> list[Sample]:
    """Samples of this process; Prometheus adds up those of several."""
    return [sample for each in metric.collect() for sample in each.samples if sample.name.endswith(suffix)]


def _buckets(histogram: Histogram) -> Counts:
    """Counts by bucket, summed over the prediction routes."""
    up_to: dict[float, float] = {}
    for sample in _samples(histogram, "_bucket"):
        if sample.labels.get("route", USED[0]) in USED:
            bound = float(sample.labels["le"])
            up_to[bound] = up_to.get(bound, 0) + sample.value
    heights = [up_to[bound] for bound in sorted(up_to)]
    return tuple(high - low for low, high in pairwise([0, *heights]))


def _minute_between(earlier: Snapshot, later: Snapshot, drift: dict[str, float]) -> Minute:
    seconds = _difference(later.seconds, earlier.seconds)
    confidence = _difference(later.confidence, earlier.confidence)
    read = sum(confidence)
    return Minute(
        start=datetime.fromtimestamp(60 * earlier.start, UTC),
        answered=round(later.answered - earlier.answered),
        failed=round(later.failed - earlier.failed),
        refused=round(later.refused - earlier.refused),
        problems=dict(sorted((later.problems - earlier.problems).items())),
        median=quantile(0.5, QUICK, seconds),
        p95=quantile(0.95, QUICK, seconds),
        confidence=quantile(0.5, SHARES, confidence),
        tokens=round((later.length - earlier.length) / read, 2) if read else None,
        cache_lookups=round(later.cache_lookups - earlier.cache_lookups),
        cache_hits=round(later.cache_hits - earlier.cache_hits),
        drift=drift,
    )


def _drift(snapshots: Sequence[Snapshot], number: int) -> dict[str, float]:
    """PSI of the half hour that ends with this minute, against everything before it."""
    end, start = snapshots[number + 1], snapshots[max(0, number + 1 - _WINDOW)]
    found = {
        "confidence": psi(start.confidence, _difference(end.confidence, start.confidence)),
        "tokens": psi(start.tokens, _difference(end.tokens, start.tokens)),
    }
    return {name: index for name, index in found.items() if index is not None}


def quantile(share: float, bounds: Sequence[float], counts: Counts) -> float | None:
    """A quantile as Prometheus computes it: linear within a bucket, at most the last bound.

    None without counts.
    """
    rank, below = share * sum(counts), 0.0
    if not rank:
        return None
    for low, high, count in zip((0, *bounds), bounds, counts, strict=False):
        if below + count >= rank:
            return round(low + (high - low) * (rank - below) / count, 6)
        below += count
    return bounds[-1]


def psi(reference: Counts, window: Counts) -> float | None:
    """Return the population stability index of two histograms, None if there is too little to compare."""
    if min(sum(reference), sum(window)) < _ENOUGH:
        return None
    return round(population_stability_index(reference, window), 4)


def _difference(later: Counts, earlier: Counts) -> Counts:
    """Counts between two snapshots; a histogram without any label value has no buckets yet."""
    return tuple(b - a for b, a in zip(later, earlier or (0,) * len(later), strict=True))
