"""Drift check: does the service still see the distribution that the champion was tested on?"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd

from components.config import MonitorParams
from components.files import write_text
from components.monitoring.reference import COLUMNS, INK, KIND, PICTURE, read_reference
from components.monitoring.report import HTML, SUMMARY, Pair, html, markdown
from components.monitoring.result import Drift
from components.monitoring.statistics import ColumnDrift, compare_column
from components.monitoring.window import Window, read_window


def check_drift(
    params: MonitorParams, model: str, reference: Path, reports: Path, now: datetime | None = None
) -> Drift:
    """Compare a version's recent predictions with `reference`, its predictions on the test split (Parquet).

    Writes drift.md and, if there are enough predictions for a verdict, drift.html with plots into `reports`.
    Raises DriftError and OSError.
    """
    window = read_window(params.folder, model, params.window_hours, params.kinds, now)
    return compare(read_reference(reference), window, params, reports)


def compare(reference: pd.DataFrame, window: Window, params: MonitorParams, reports: Path) -> Drift:
    """Compare two samples of COLUMNS, inks with inks and pictures with pictures, and write the reports, as
    `check_drift` does. Raises OSError."""
    predictions = window.predictions
    pairs = [
        pair for kind in (INK, PICTURE) for pair in _pairs(reference, predictions, kind, params.min_readings)
    ]
    columns = tuple(compare_column(name, before, now, params) for name, before, now in pairs)
    drift = Drift(
        model=window.model,
        start=window.start,
        end=window.end,
        reference_n=len(reference),
        window_n=len(predictions),
        invalid_lines=window.invalid_lines,
        columns=columns,
        reason=_reason(window, columns, params) + _unjudged(reference, predictions, params),
    )
    report = markdown(drift, params)
    write_text(report, reports / SUMMARY)
    if drift.judged:
        write_text(html(report, pairs), reports / HTML)
    else:
        (reports / HTML).unlink(missing_ok=True)  # the plots of an earlier window would be misleading
    return drift


def _pairs(reference: pd.DataFrame, predictions: pd.DataFrame, kind: str, least: int) -> list[Pair]:
    """The two samples of each column for one kind; none where either is too small for a verdict."""
    before, now = reference[reference[KIND] == kind], predictions[predictions[KIND] == kind]
    if before.empty or len(now) < least:
        return []
    of = "" if kind == INK else f" of {kind}s"
    return [(f"{name}{of}", before[name].to_numpy(), now[name].to_numpy()) for name in COLUMNS]


def _unjudged(reference: pd.DataFrame, predictions: pd.DataFrame, params: MonitorParams) -> str:
    """Which predictions the verdict is not about."""
    count = int((predictions[KIND] == PICTURE).sum())
    if not count:
        return ""
    if not (reference[KIND] == PICTURE).any():
        return f"; {count:,} of pictures are not judged: the champion's test split has none to compare with"
    if count < params.min_readings:
        return f"; {count:,} of pictures are too few to be judged"
    return ""


def _reason(window: Window, columns: tuple[ColumnDrift, ...], params: MonitorParams) -> str:
    n = len(window.predictions)
    predictions = f"{n:,} predictions by version {window.model} in {params.window_hours:g} hours"
    if not columns:
        excluded = (
            f"; {window.excluded:,} of other kinds are excluded (monitor.kinds)" if window.excluded else ""
        )
        return (
            f"no verdict: {predictions} in {params.folder}, monitor.min_readings is {params.min_readings:,}"
            f"{excluded}"
        )
    drifted = [column.name for column in columns if column.drifted]
    return f"{'drift in ' + ', '.join(drifted) if drifted else 'no drift'}: {predictions}"
