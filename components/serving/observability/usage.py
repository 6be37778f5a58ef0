"""Usage by key and day: how many requests, formulas, refusals and corrections; latency and confidence.

No content is kept: no picture, ink, formula or address. All callers without a key count as one.

With USAGE_FOLDER each process writes its counts of a day to DAY/PROCESS.json there, a folder or an address,
every minute and when it ends; a report adds up those of all processes. A process that is killed loses its
last minute. Without it the counts are those of this process. Days older than USAGE_DAYS are removed.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Lock, Timer
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.records import RecordStore
from components.serving.observability import metrics
from components.serving.observability.history import quantile
from components.serving.observability.metrics import QUICK
from components.serving.observability.request_context import RequestContext
from components.serving.settings import Settings

NO_KEY = ""  # the key of callers without one

SECONDS = 60.0  # between two writes

_ROWS = 20_000  # days and keys in memory; past them the oldest day goes
_REMEMBERED = 10_000  # files of other processes in memory
_BUCKETS = len(QUICK) + 1

logger = logging.getLogger(__name__)


class Tally(BaseModel):
    """Counts of one key on one day."""

    model_config = ConfigDict(extra="ignore")

    requests: int = 0
    formulas: int = 0
    refused: int = 0  # 4xx responses
    failed: int = 0  # 5xx responses
    corrected: int = 0  # formulas that were corrected
    confidence: float = 0.0  # sum over all formulas
    seconds: list[int] = [0] * _BUCKETS  # answered requests by QUICK's buckets

    def add(self, other: Tally) -> None:
        for name in ("requests", "formulas", "refused", "failed", "corrected", "confidence"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        # A process of another version may have had other buckets: its latency is left out then.
        if len(other.seconds) == len(self.seconds):
            self.seconds = [a + b for a, b in zip(self.seconds, other.seconds, strict=True)]


class ProcessDay(BaseModel):
    """The file of one process and day."""

    format: Literal[1] = 1
    keys: dict[str, Tally]


@dataclass(frozen=True)
class Row:
    """Usage of one key on one day. Times are in seconds."""

    day: date
    key: str
    requests: int
    formulas: int
    refused: int
    failed: int
    corrected: int
    median: float | None  # latency of answered requests
    p95: float | None
    confidence: float | None  # mean of all formulas
    share_corrected: float | None  # of all formulas


class Usage:
    """Counts of this process, and reports of all."""

    def __init__(
        self, settings: Settings, label: Callable[[str], str], clock: Callable[[], float] = time.time
    ) -> None:
        """`label` names a key in the metrics. Raises ValueError for a USAGE_FOLDER that nothing opens."""
        where = settings.usage_folder
        self._store = None if where is None else RecordStore(where)
        self._days, self._label, self._clock = settings.usage_days, label, clock
        self._process = secrets.token_hex(8)
        self._tallies: dict[date, dict[str, Tally]] = {}
        self._changed: set[date] = set()
        self._removed: date | None = None  # the day on which old days were removed last
        self._others: OrderedDict[str, tuple[str, ProcessDay]] = OrderedDict()  # by file, with its version
        self._lock, self._writing, self._reporting = Lock(), Lock(), Lock()
        self._timer: Timer | None = None

    @property
    def shared(self) -> bool:
        """Whether reports are about all processes."""
        return self._store is not None

    def count(self, context: RequestContext, status: int) -> None:
        """Count a request to read or to correct that ended with this status; 0: the caller went away."""
        key, kind = context.key_id or NO_KEY, status // 100
        outcome = {2: "answered", 4: "refused", 5: "failed"}.get(kind, "disconnected")
        label = self._label(key)
        metrics.usage_requests.labels(label, outcome).inc()
        metrics.usage_formulas.labels(label).inc(context.formulas)
        metrics.usage_corrections.labels(label).inc(context.corrections)
        with self._lock:
            day = self._today()
            keys = self._tallies.setdefault(day, {})
            if key not in keys:
                keys[key] = Tally()
                self._bound(day)
            tally = keys[key]
            tally.requests += 1
            tally.formulas += context.formulas
            tally.refused += kind == 4
            tally.failed += kind == 5
            tally.corrected += context.corrections
            tally.confidence += context.total_confidence
            if kind == 2:
                seconds = list(tally.seconds)
                seconds[sum(context.elapsed > bound for bound in QUICK)] += 1
                tally.seconds = seconds
            self._changed.add(day)
            if self._store is not None and self._timer is None:
                self._start_timer()

    def report(self, days: int, key: str | None = None) -> list[Row]:
        """Usage of the last `days` days, today included, by day and key; of one key where it is given.

        Waits for the store. Raises OSError.
        """
        today = self._today()
        first = today - timedelta(days=min(days, self._days) - 1)
        with self._lock:
            # Copies: more is counted while the report is made.
            own = {day: _copies(keys) for day, keys in self._tallies.items() if day >= first}
        total: dict[tuple[date, str], Tally] = {}
        for day, keys in [*own.items(), *self._of_others(first, today)]:
            for name, tally in keys.items():
                if key is None or name == key:
                    total.setdefault((day, name), Tally()).add(tally)
        return [_row(day, name, tally) for (day, name), tally in sorted(total.items())]

    def flush(self) -> None:
        """Write what has changed, and remove days that are too old. Raises OSError."""
        if self._store is None:
            return
        with self._writing:
            with self._lock:
                changed, self._changed = self._changed, set()
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                files = {day: _copies(self._tallies[day]) for day in changed if day in self._tallies}
            try:
                for day, keys in files.items():
                    content = ProcessDay(keys=keys).model_dump_json().encode()
                    self._store.write(day, f"{self._process}.json", content)
                    changed.discard(day)
            finally:
                with self._lock:
                    self._changed |= changed
            self._remove_old()

    def close(self) -> None:
        """Write what has changed. Never raises."""
        try:
            self.flush()
        except OSError as error:
            logger.error("the last minute's usage is not stored: %s", error)
        finally:
            with self._lock:
                if self._timer is not None:
                    self._timer.cancel()

    def _of_others(self, first: date, last: date) -> Iterable[tuple[date, dict[str, Tally]]]:
        """The counts of the other processes. A file that has not changed is not read again."""
        if self._store is None:
            return []
        found: list[tuple[date, dict[str, Tally]]] = []
        with self._reporting:
            for day in (day for day in self._store.days() if first <= day <= last):
                versions = {
                    file.name: file.version
                    for file in self._store.files(".json", day)
                    if not file.name.endswith(f"/{self._process}.json")
                }
                changed = [
                    name
                    for name, version in versions.items()
                    if name not in self._others or self._others[name][0] != version
                ]
                for name, content in self._store.read(changed):
                    if isinstance(content, OSError):
                        raise content
                    self._others[name] = versions[name], self._parsed(name, content)
                found += [(day, self._others[name][1].keys) for name in versions]
                while len(self._others) > _REMEMBERED:
                    self._others.popitem(last=False)
        return found

    def _parsed(self, name: str, content: bytes) -> ProcessDay:
        """A file's counts; none if it has none."""
        try:
            return ProcessDay.model_validate_json(content)
        except ValidationError:
            logger.error("%s/%s: no counts of usage; passed over", self._store, name)
            return ProcessDay(keys={})

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()

    def _bound(self, today: date) -> None:
        """Forget days that are too old, or stored and over; at most _ROWS rows stay."""
        oldest = today - timedelta(days=self._days - 1)
        for day in sorted(self._tallies):
            rows = sum(map(len, self._tallies.values()))
            if day < oldest or (rows > _ROWS and day != today):
                del self._tallies[day]
                self._changed.discard(day)

    def _remove_old(self) -> None:
        """Remove days older than USAGE_DAYS, once a day. Raises OSError."""
        assert self._store is not None
        today = self._today()
        if self._removed == today:
            return
        for day in self._store.days():
            if day < today - timedelta(days=self._days - 1):
                self._store.remove(day)
        self._removed = today

    def _start_timer(self) -> None:
        self._timer = Timer(SECONDS, self._in_background)
        self._timer.daemon = True
        self._timer.start()

    def _in_background(self) -> None:
        with self._lock:
            self._timer = None
        try:
            self.flush()
        except OSError as error:  # tried again after the next request
            logger.error("usage can't be stored; it is counted on: %s", error)


def _copies(keys: dict[str, Tally]) -> dict[str, Tally]:
    return {name: tally.model_copy() for name, tally in keys.items()}


def _row(day: date, key: str, tally: Tally) -> Row:
    counts = tuple(map(float, tally.seconds))
    formulas = tally.formulas
    return Row(
        day=day,
        key=key,
        requests=tally.requests,
        formulas=formulas,
        refused=tally.refused,
        failed=tally.failed,
        corrected=tally.corrected,
        median=quantile(0.5, QUICK, counts),
        p95=quantile(0.95, QUICK, counts),
        confidence=round(tally.confidence / formulas, 4) if formulas else None,
        share_corrected=round(tally.corrected / formulas, 4) if formulas else None,
    )
