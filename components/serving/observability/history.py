"""What was measured, minute by minute, for a page that shows it: three hours, of this replica alone.

Prometheus keeps this better, for who has one. What bounds the memory: 181 notes of some sixty numbers. Nobody
has to look at the clock: as long as no request ends, nothing changes, so that each one that ends first notes
how things stood at the minutes that have gone by.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.samples import Sample

from components.serving.observability import metrics
from components.serving.observability.metrics import QUICK, SHARES
from components.serving.schemas.responses import History, Minute

_MINUTES = 180
_WINDOW = 30  # minutes that are compared with all before them
_ENOUGH = 100  # readings, before and in the window, that a comparison takes
_ROUTES = ("/predict", "/predict/strokes", "/predict/batch", "/feedback")
_NO_PROBLEM = "no-mathml"  # a formula was read, and could not be typeset

Counts = tuple[float, ...]


@dataclass(frozen=True)
class Note:
    """How the measures stood. `Counts` are those of a histogram's buckets."""

    start: int  # the minute that begins, of the Unix clock
    answered: float
    failed: float
    refused: float
    problems: Counter[str]
    seconds: Counts
    confidence: Counts
    tokens: Counts
    length: float  # of all tokens
    looked_up: float
    known: float


class Past:
    """Notes of the last hours."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._notes: deque[Note] = deque([_note(self._minute())], maxlen=_MINUTES + 1)

    def look(self) -> None:
        """Notes how things stand, if a minute has begun since it was last done. To be called before a request
        is counted."""
        now, last = self._minute(), self._notes[-1].start
        if now == last:
            return
        if now < last:  # the clock was put back
            self._notes.clear()
        note = _note(now)
        gone = range(max(last + 1, now - _MINUTES), now) if self._notes else ()
        self._notes.extend(replace(note, start=minute) for minute in gone)
        self._notes.append(note)

    def told(self) -> History:
        """All minutes, the one that has begun too."""
        self.look()
        notes = [*self._notes, _note(self._minute() + 1)]
        minutes = [
            _between(earlier, later, _drift(notes, number))
            for number, (earlier, later) in enumerate(pairwise(notes))
        ]
        return History(minutes=minutes[-_MINUTES:])

    def _minute(self) -> int:
        return int(self._clock() // 60)


def _note(start: int) -> Note:
    statuses: dict[str, float] = defaultdict(float)
    for sample in _samples(metrics.requests, "_total"):
        if sample.labels["route"] in _ROUTES:
            statuses[sample.labels["status"][:1]] += sample.value
    problems = Counter({s.labels["kind"]: round(s.value) for s in _samples(metrics.refusals, "_total")})
    del problems[_NO_PROBLEM]
    found = {s.labels["found"]: s.value for s in _samples(metrics.cached, "_total")}
    return Note(
        start=start,
        answered=statuses["2"],
        failed=statuses["5"],
        refused=statuses["4"],
        problems=problems,
        seconds=_buckets(metrics.seconds),
        confidence=_buckets(metrics.confidence),
        tokens=_buckets(metrics.tokens),
        length=sum(s.value for s in _samples(metrics.tokens, "_sum")),
        looked_up=sum(found.values()),
        known=found.get("yes", 0),
    )


def _samples(metric: MetricWrapperBase, suffix: str) -> list[Sample]:
    """Of this process: of several, Prometheus adds them up."""
    return [sample for each in metric.collect() for sample in each.samples if sample.name.endswith(suffix)]


def _buckets(histogram: Histogram) -> Counts:
    """How many fell into each bucket, the routes that read taken together."""
    up_to: dict[float, float] = {}
    for sample in _samples(histogram, "_bucket"):
        if sample.labels.get("route", _ROUTES[0]) in _ROUTES:
            bound = float(sample.labels["le"])
            up_to[bound] = up_to.get(bound, 0) + sample.value
    heights = [up_to[bound] for bound in sorted(up_to)]
    return tuple(high - low for low, high in pairwise([0, *heights]))


def _between(earlier: Note, later: Note, drift: dict[str, float]) -> Minute:
    seconds = _less(later.seconds, earlier.seconds)
    confidence = _less(later.confidence, earlier.confidence)
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
        looked_up=round(later.looked_up - earlier.looked_up),
        known=round(later.known - earlier.known),
        drift=drift,
    )


def _drift(notes: Sequence[Note], number: int) -> dict[str, float]:
    """Of the half hour that ends with this minute, against all that this process read before it."""
    end, start = notes[number + 1], notes[max(0, number + 1 - _WINDOW)]
    found = {
        "confidence": stability(start.confidence, _less(end.confidence, start.confidence)),
        "tokens": stability(start.tokens, _less(end.tokens, start.tokens)),
    }
    return {name: index for name, index in found.items() if index is not None}


def quantile(share: float, bounds: Sequence[float], counts: Counts) -> float | None:
    """What so large a share is below, as Prometheus reckons it: evenly spread in a bucket, never more than
    the last bound. None where nothing was counted."""
    rank, below = share * sum(counts), 0.0
    if not rank:
        return None
    for low, high, count in zip((0, *bounds), bounds, counts, strict=False):
        if below + count >= rank:
            return round(low + (high - low) * (rank - below) / count, 6)
        below += count
    return bounds[-1]


def stability(reference: Counts, window: Counts) -> float | None:
    """The population stability index of two histograms, each bucket one reading richer so that none is empty.
    None where there is too little to compare."""
    of_all = sum(reference), sum(window)
    if min(of_all, default=0) < _ENOUGH:
        return None
    shares = [
        ((a + 1) / (of_all[0] + len(reference)), (b + 1) / (of_all[1] + len(window)))
        for a, b in zip(reference, window, strict=True)
    ]
    return round(sum((b - a) * math.log(b / a) for a, b in shares), 4)


def _less(later: Counts, earlier: Counts) -> Counts:
    """What came between; a histogram without any label's value has no buckets as yet."""
    return tuple(b - a for b, a in zip(later, earlier or (0,) * len(later), strict=True))
