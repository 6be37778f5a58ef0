"""The monitoring window: features of recent predictions, read from the service's prediction logs."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from components.monitoring.reference import COLUMNS, INK, KIND, PICTURE
from components.records import RecordStore

_LOGS = "**/readings/data/data.*.log*"  # one file per worker, plus rotated files; a folder per replica
_LINES = ".jsonl"  # records of the day in a store
_INVALID = (ValueError, KeyError, TypeError, OverflowError)  # raised by a line that is no prediction


@dataclass(frozen=True, eq=False)
class Window:
    """Predictions of one model version within a period."""

    model: str
    start: datetime
    end: datetime
    predictions: pd.DataFrame  # COLUMNS as floats, and KIND; oldest first
    invalid_lines: int  # for example a last line that is only half written
    excluded: int = 0  # predictions of other input kinds


def read_window(
    folder: Path | str, model: str, hours: float, kinds: Collection[str], now: datetime | None = None
) -> Window:
    """Read predictions of the last `hours` by version `model` on inputs of `kinds` from all workers' logs,
    in a folder or at an address that all replicas write to.

    A missing folder gives an empty window: nothing has been served yet. Raises OSError.
    """
    end = (now or datetime.now()).astimezone()
    start = end - timedelta(hours=hours)
    found, invalid, excluded = [], 0, 0
    for line in _stored_lines(folder, start, end) if isinstance(folder, str) else _lines(folder, start):
        try:
            at, version, kind, values = _parse(line)
        except _INVALID:
            invalid += 1
            continue
        if version == model and start <= at <= end:
            if kind in kinds:
                found.append((at, values, PICTURE if kind == PICTURE else INK))
            else:
                excluded += 1
    found.sort(key=lambda prediction: prediction[0])
    predictions = pd.DataFrame([values for _, values, _ in found], columns=list(COLUMNS), dtype=float)
    predictions[KIND] = [kind for *_, kind in found]
    return Window(model, start, end, predictions, invalid, excluded)


def _lines(folder: Path, since: datetime) -> Iterator[str]:
    """Yield the lines of all logs modified since then."""
    for path in sorted(folder.glob(_LOGS)):
        try:
            if path.stat().st_mtime < since.timestamp():
                continue
            with path.open(encoding="utf-8", errors="replace") as stream:
                yield from stream
        except FileNotFoundError:  # rotated at this moment: it is read under its new name
            continue


def _stored_lines(address: str, start: datetime, end: datetime) -> Iterator[str]:
    """Yield the lines of the days, in UTC, that a period touches."""
    store = RecordStore(address)
    first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
    for day in (first + timedelta(days=number) for number in range((last - first).days + 1)):
        for name, content in store.read([file.name for file in store.files(_LINES, day)]):
            if isinstance(content, OSError):
                raise OSError(f"{address}/{name}: {content}") from content
            yield from content.decode("utf-8", "replace").splitlines()


def _parse(line: str) -> tuple[datetime, str, str, tuple[float, ...]]:
    """Return time, model version, input kind and COLUMNS. Raises one of _INVALID."""
    record = json.loads(line)
    values = tuple(float(record[column]) for column in COLUMNS)
    if not all(map(math.isfinite, values)):
        raise ValueError("not a finite number")
    at = datetime.fromisoformat(record["timestamp"]).astimezone()
    return at, str(record["model"]), str(record["kind"]), values
