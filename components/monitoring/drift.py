"""Does the service still read what the champion was tested on? Its last hours beside the test split.

A column has drifted where its population stability index is large and a two-sample Kolmogorov-Smirnov test
finds the samples different. Either alone cries wolf: the test of many readings, the index of few.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pandas.core.dtypes.common as pandas_dtypes

from components.config import MonitorParams
from components.files import atomic_write
from components.recognizer.features import Observation

if TYPE_CHECKING:
    from evidently.core.report import Snapshot  # type: ignore[import-untyped]

COLUMNS = tuple(field.name for field in fields(Observation))
HTML, SUMMARY = "drift.html", "drift.md"  # in the folder of reports

_LOGS = "readings/data/data.*.log*"  # a file a worker, and those of earlier days
_UNREADABLE = (ValueError, KeyError, TypeError, OverflowError)  # of a line that is no reading


class DriftError(ValueError):
    """There is nothing to compare with; the message says what is wrong."""


@dataclass(frozen=True, eq=False)
class Window:
    """What a version of the model read in some hours."""

    model: str
    start: datetime
    end: datetime
    readings: pd.DataFrame  # COLUMNS, floats, the oldest first
    broken: int  # lines of the logs that are no reading, such as a half-written last one
    others: int = 0  # readings of kinds that do not count


@dataclass(frozen=True)
class Column:
    """How far one column is from the reference."""

    name: str
    reference_median: float
    window_median: float
    psi: float
    p_value: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """What became of a comparison."""

    model: str
    start: datetime
    end: datetime
    reference_n: int
    window_n: int
    broken: int  # lines of the logs that are no reading
    columns: tuple[Column, ...]  # () where the readings are too few for a verdict
    drifted: bool
    reason: str  # one sentence

    @property
    def judged(self) -> bool:
        """Were there readings enough?"""
        return bool(self.columns)


def check_drift(
    settings: MonitorParams, model: str, reference: Path, reports: Path, now: datetime | None = None
) -> Drift:
    """Compares the last hours' readings of a version with a Parquet file of its readings of the test split.

    Writes drift.md and, with a verdict, Evidently's drift.html into `reports`. Raises DriftError and OSError.
    """
    expected = read_reference(reference)
    window = read_window(settings.folder, model, settings.window_hours, settings.kinds, now)
    return compare(expected, window, settings, reports)


def read_reference(path: Path) -> pd.DataFrame:
    """The reference's COLUMNS, floats. Raises DriftError where the file is not there, or lacks something."""
    try:
        table = pd.read_parquet(path, columns=list(COLUMNS)).astype(float)
    except FileNotFoundError:
        raise DriftError(f"{path} is not there: the champion's readings of the test split") from None
    except (ValueError, OSError, KeyError) as error:
        raise DriftError(f"{path}: not a Parquet file with {', '.join(COLUMNS)}: {error}") from None
    if table.empty or not np.isfinite(table.to_numpy()).all():
        raise DriftError(f"{path}: expected rows of finite numbers in {', '.join(COLUMNS)}")
    return table


def read_window(
    folder: Path, model: str, hours: float, kinds: Collection[str], now: datetime | None = None
) -> Window:
    """The readings of a version in the `hours` before `now`, from all logs of all workers in `folder`.

    Those of `kinds` count: the test split is drawn ink, which photographs differ from by nature.

    There are none where there is no folder: nothing has been served yet.
    """
    end = (now or datetime.now()).astimezone()
    start = end - timedelta(hours=hours)
    found, broken, others = [], 0, 0
    for line in _lines(folder, start):
        try:
            at, by, kind, values = _reading(line)
        except _UNREADABLE:
            broken += 1
            continue
        if by == model and start <= at <= end:
            if kind in kinds:
                found.append((at, values))
            else:
                others += 1
    found.sort(key=lambda reading: reading[0])
    readings = pd.DataFrame([values for _, values in found], columns=list(COLUMNS), dtype=float)
    return Window(model, start, end, readings, broken, others)


def compare(reference: pd.DataFrame, window: Window, settings: MonitorParams, reports: Path) -> Drift:
    """Compares two samples of COLUMNS; writes what `check_drift` says. Raises DriftError and OSError."""
    n = len(window.readings)
    columns: tuple[Column, ...] = ()
    if n >= settings.min_readings:
        snapshot = _compared(reference, window.readings, settings)
        columns = _columns(snapshot, reference, window.readings, settings)
        with atomic_write(reports / HTML) as beside:
            snapshot.save_html(str(beside))
    else:
        (reports / HTML).unlink(missing_ok=True)  # an earlier window's page would be taken for this one's
    drift = Drift(
        model=window.model,
        start=window.start,
        end=window.end,
        reference_n=len(reference),
        window_n=n,
        broken=window.broken,
        columns=columns,
        drifted=any(column.drifted for column in columns),
        reason=_reason(window, columns, settings),
    )
    with atomic_write(reports / SUMMARY) as beside:
        beside.write_text(summary(drift, settings), encoding="utf-8")
    return drift


def summary(drift: Drift, settings: MonitorParams) -> str:
    """The comparison as Markdown: the verdict, a table, and what was compared."""
    lines = [f"# Drift: {_verdict(drift)}", "", f"{drift.reason[0].upper()}{drift.reason[1:]}.", ""]
    if drift.judged:
        lines += [
            "| column | reference, median | window, median | PSI | p | drifted |",
            "|---|--:|--:|--:|--:|---|",
            *(
                f"| {c.name} | {c.reference_median:.4g} | {c.window_median:.4g} | {c.psi:.3f} "
                f"| {c.p_value:.2g} | {'**yes**' if c.drifted else 'no'} |"
                for c in drift.columns
            ),
            "",
            f"Drifted: PSI above {settings.psi:g} and p of a Kolmogorov-Smirnov test below "
            f"{settings.p_value:g}. The plots are in {HTML}.",
            "",
        ]
    lines += [
        f"- reference: {drift.reference_n:,} readings of the test split",
        f"- window: {drift.window_n:,} readings by version {drift.model}, "
        f"{drift.start:%Y-%m-%d %H:%M} to {drift.end:%Y-%m-%d %H:%M %Z}",
        f"- lines of the logs that could not be read: {drift.broken:,}",
    ]
    return "\n".join(lines) + "\n"


def _lines(folder: Path, since: datetime) -> Iterator[str]:
    """All lines of the logs that were written to since then."""
    for path in sorted(folder.glob(_LOGS)):
        try:
            if path.stat().st_mtime < since.timestamp():
                continue
            with path.open(encoding="utf-8", errors="replace") as stream:
                yield from stream
        except FileNotFoundError:  # renamed at midnight, just now: another name has it
            continue


def _reading(line: str) -> tuple[datetime, str, str, tuple[float, ...]]:
    """When it was, by which version, of what kind, and COLUMNS. Raises one of _UNREADABLE."""
    record = json.loads(line)
    values = tuple(float(record[column]) for column in COLUMNS)
    if not all(map(math.isfinite, values)):
        raise ValueError("not a finite number")
    at = datetime.fromisoformat(record["timestamp"]).astimezone()
    return at, str(record["model"]), str(record["kind"]), values


def _compared(reference: pd.DataFrame, readings: pd.DataFrame, settings: MonitorParams) -> Snapshot:
    """Evidently's report of both tests of every column."""
    os.environ["DO_NOT_TRACK"] = "1"  # before the import: Evidently would report home
    tests = (("psi", settings.psi), ("ks", settings.p_value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is old in Evidently, and of p-values too small to be exact
        with _pandas_of_evidently():  # takes six seconds: only who gets here pays
            from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
            from evidently.metrics import ValueDrift  # type: ignore[import-untyped]
        definition = DataDefinition(numerical_columns=list(COLUMNS))
        metrics = [
            ValueDrift(column=column, method=method, threshold=threshold)
            for column in COLUMNS
            for method, threshold in tests
        ]
        return Report(metrics).run(
            Dataset.from_pandas(readings, definition), Dataset.from_pandas(reference, definition)
        )


@contextmanager
def _pandas_of_evidently() -> Iterator[None]:
    """pandas with a name that 3.1 dropped and Evidently 0.7 imports, for a test that nobody asks for here."""
    missing = not hasattr(pandas_dtypes, "infer_dtype_from_object")
    if missing:
        pandas_dtypes.infer_dtype_from_object = None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if missing:
            del pandas_dtypes.infer_dtype_from_object  # type: ignore[attr-defined]


def _columns(
    snapshot: Snapshot, reference: pd.DataFrame, readings: pd.DataFrame, settings: MonitorParams
) -> tuple[Column, ...]:
    figures = {
        (metric["config"]["column"], metric["config"]["method"]): float(metric["value"])
        for metric in snapshot.dict()["metrics"]
    }
    if wrong := [" of ".join(reversed(key)) for key, value in figures.items() if not math.isfinite(value)]:
        raise DriftError(f"Evidently finds no number for {', '.join(wrong)}")
    return tuple(
        Column(
            name=name,
            reference_median=float(reference[name].median()),
            window_median=float(readings[name].median()),
            psi=psi,
            p_value=p_value,
            drifted=psi > settings.psi and p_value < settings.p_value,
        )
        for name in COLUMNS
        for psi, p_value in ((figures[name, "psi"], figures[name, "ks"]),)
    )


def _reason(window: Window, columns: tuple[Column, ...], settings: MonitorParams) -> str:
    n, hours = len(window.readings), settings.window_hours
    readings = f"{n:,} readings by version {window.model} in {hours:g} hours"
    if not columns:
        others = f"; {window.others:,} of other kinds do not count (monitor.kinds)" if window.others else ""
        return (
            f"only {readings} in {settings.folder}, fewer than monitor.min_readings "
            f"({settings.min_readings:,}): no verdict{others}"
        )
    if drifted := [column.name for column in columns if column.drifted]:
        have = "has" if len(drifted) == 1 else "have"
        return f"{', '.join(drifted)} {have} drifted from the test split in {readings}"
    return f"no column has drifted from the test split in {readings}"


def _verdict(drift: Drift) -> str:
    if not drift.judged:
        return "no verdict"
    return "yes" if drift.drifted else "no"
