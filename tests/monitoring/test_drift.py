"""What the look for drift promises: a real shift is found, no shift is not, and little is no verdict."""

from __future__ import annotations

import json
import math
import os
import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.config import MonitorParams, Params
from components.monitoring.drift import (
    COLUMNS,
    Drift,
    DriftError,
    check_drift,
    compare,
    read_reference,
    read_window,
)

NOW = datetime(2026, 11, 24, 12)
LOG = "readings/data/data.1.log"


def readings(n: int, seed: int, **shift: float) -> pd.DataFrame:
    """Readings like those of a test split; `shift` is added to columns."""
    rng = np.random.default_rng(seed)
    columns = {
        "tokens": rng.integers(2, 15, n),
        "confidence": rng.beta(4, 4, n).round(6),
        "width": rng.integers(24, 281, n),
        "height": rng.choice([24, 40, 84], n),
        "ink": rng.uniform(0.02, 0.12, n).round(6),
    }
    return pd.DataFrame({name: values + shift.get(name, 0) for name, values in columns.items()}).astype(float)


DRAWN = ("strokes", "inkml")


def line(at: datetime, model: str = "3", **values: object) -> str:
    record = {"timestamp": at.isoformat(), "request": "r", "model": model, "kind": "strokes", "seconds": 0.1}
    figures = {"tokens": 5, "confidence": 0.5, "width": 90, "height": 40, "ink": 0.05}
    return json.dumps(record | figures | values) + "\n"


def write_log(folder: Path, text: str, name: str = LOG) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def logged(folder: Path, table: pd.DataFrame) -> Path:
    rows = table.to_dict("records")
    return write_log(folder, "".join(line(NOW - timedelta(seconds=i), **row) for i, row in enumerate(rows)))


@pytest.fixture
def settings(params: Params, tmp_path: Path) -> MonitorParams:
    return params.monitor.model_copy(update={"folder": tmp_path / "monitoring"})


def look(settings: MonitorParams, reference: pd.DataFrame, window: pd.DataFrame, folder: Path) -> Drift:
    logged(settings.folder, window)
    reference.to_parquet(folder / "reference.parquet")
    return check_drift(settings, "3", folder / "reference.parquet", folder / "reports", NOW)


def test_the_window_has_the_last_readings_of_the_version_from_all_workers_and_days(tmp_path: Path) -> None:
    hours = [NOW - timedelta(hours=n) for n in (1, 23, 25)]
    write_log(tmp_path, "".join(line(at, tokens=1 + i) for i, at in enumerate(hours)))
    write_log(tmp_path, line(hours[0], tokens=11) + line(hours[0], model="2"), "readings/data/data.2.log")
    write_log(tmp_path, line(hours[1], tokens=12), "readings/data/data.2.log.2026-11-23")
    write_log(tmp_path, line(hours[0]), "readings/schema/schema.1.log")
    window = read_window(tmp_path, "3", 24, DRAWN, NOW)
    assert sorted(window.readings["tokens"]) == [1, 2, 11, 12]
    assert set(window.readings["tokens"][:2]) == {2, 12}, "the oldest come first"
    assert (window.end - window.start, window.broken) == (timedelta(hours=24), 0)


def test_lines_that_are_no_reading_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    whole = line(NOW)
    broken = [
        whole[: len(whole) // 2] + "\n",
        "[]\n",
        line(NOW, confidence=math.nan),
        line(NOW, width=None),
        line(NOW, timestamp="yesterday"),
        whole.replace('"model"', '"modell"'),
        "\udcff\n",
    ]
    write_log(tmp_path, "")
    (tmp_path / LOG).write_bytes("".join([*broken, whole, whole[:40]]).encode(errors="surrogateescape"))
    window = read_window(tmp_path, "3", 24, DRAWN, NOW)
    assert (len(window.readings), window.broken) == (1, len(broken) + 1)


def test_photographs_do_not_count_unless_asked_for(settings: MonitorParams, tmp_path: Path) -> None:
    kinds = ("strokes", "inkml", "picture", "picture")
    write_log(tmp_path, "".join(line(NOW, kind=kind) for kind in kinds))
    drawn = read_window(tmp_path, "3", 24, DRAWN, NOW)
    assert (len(drawn.readings), drawn.others) == (2, 2)
    assert len(read_window(tmp_path, "3", 24, ("picture",), NOW).readings) == 2
    drift = compare(pd.DataFrame(readings(300, 1)), drawn, settings, tmp_path)
    assert drift.reason.endswith("no verdict; 2 of other kinds do not count (monitor.kinds)")


def test_a_log_that_was_written_before_the_window_is_not_opened(tmp_path: Path) -> None:
    write_log(tmp_path, "broken\n")
    past = (NOW - timedelta(hours=25)).timestamp()
    os.utime(tmp_path / LOG, (past, past))
    assert read_window(tmp_path, "3", 24, DRAWN, NOW).broken == 0


def test_too_few_readings_give_no_verdict_and_leave_no_old_plots(
    settings: MonitorParams, tmp_path: Path
) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "drift.html").write_text("of last week")
    drift = look(settings, readings(300, 1), readings(199, 2, confidence=9), tmp_path)
    assert (drift.judged, drift.drifted, drift.columns, drift.window_n) == (False, False, (), 199)
    assert drift.reason.startswith("only 199 readings by version 3 in 24 hours")
    assert drift.reason.endswith("fewer than monitor.min_readings (200): no verdict")
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["drift.md"]
    assert "# Drift: no verdict" in (tmp_path / "reports" / "drift.md").read_text()


def test_before_anything_was_served_there_are_no_readings(settings: MonitorParams, tmp_path: Path) -> None:
    readings(300, 1).to_parquet(tmp_path / "reference.parquet")
    drift = check_drift(settings, "3", tmp_path / "reference.parquet", tmp_path / "reports")
    assert (drift.window_n, drift.judged) == (0, False)
    assert str(settings.folder) in drift.reason


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (None, "is not there: the champion's readings"),
        (readings(9, 1).drop(columns="ink"), r"not a Parquet file with tokens, .*, ink"),
        (readings(0, 1), "expected rows of finite numbers"),
        (readings(9, 1, ink=math.nan), "expected rows of finite numbers"),
    ],
)
def test_a_reference_that_can_not_be_one_is_named(
    table: pd.DataFrame | None, reason: str, tmp_path: Path
) -> None:
    if table is not None:
        table.to_parquet(tmp_path / "reference.parquet")
    with pytest.raises(DriftError, match=rf"reference\.parquet:? .*{reason}|reference\.parquet {reason}"):
        read_reference(tmp_path / "reference.parquet")


def test_a_reference_of_another_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "reference.parquet").write_text("tokens,confidence")
    with pytest.raises(DriftError, match=r"reference\.parquet: not a Parquet file"):
        read_reference(tmp_path / "reference.parquet")


@pytest.mark.slow
def test_a_real_shift_is_found_in_its_columns_and_only_there(settings: MonitorParams, tmp_path: Path) -> None:
    drift = look(settings, readings(1000, 1), readings(400, 2, confidence=-0.2, ink=0.05), tmp_path)
    assert drift.drifted
    assert [column.name for column in drift.columns if column.drifted] == ["confidence", "ink"]
    assert drift.reason.startswith("confidence, ink have drifted from the test split in 400 readings")
    by_name = {column.name: column for column in drift.columns}
    assert by_name["confidence"].reference_median == pytest.approx(0.5, abs=0.03)
    assert by_name["confidence"].window_median == pytest.approx(0.3, abs=0.03)
    text = (tmp_path / "reports" / "drift.md").read_text()
    assert text.startswith("# Drift: yes\n\nConfidence, ink have drifted")
    assert re.search(r"\| ink \| 0\.0\d+ \| 0\.1\d+ \| \d\.\d+ \| \S+ \| \*\*yes\*\* \|", text)
    assert "- window: 400 readings by version 3, 2026-11-23 12:00 to 2026-11-24 12:00" in text


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 4000])
def test_another_sample_of_the_same_has_not_drifted(n: int, settings: MonitorParams, tmp_path: Path) -> None:
    drift = look(settings, readings(1000, 1), readings(n, 2), tmp_path)
    assert drift.judged
    assert not drift.drifted
    assert drift.reason.startswith("no column has drifted")


@pytest.mark.slow
def test_the_reference_itself_has_not_drifted_at_all(settings: MonitorParams, tmp_path: Path) -> None:
    drift = look(settings, readings(500, 1), readings(500, 1), tmp_path)
    assert [(column.psi, column.p_value) for column in drift.columns] == [(0, 1)] * len(COLUMNS)


@pytest.mark.slow
def test_a_small_shift_of_many_readings_is_no_drift(settings: MonitorParams, tmp_path: Path) -> None:
    drift = look(settings, readings(4000, 1), readings(4000, 2, confidence=0.02), tmp_path)
    confidence = drift.columns[COLUMNS.index("confidence")]
    assert confidence.p_value < settings.p_value
    assert not drift.drifted


@pytest.mark.slow
def test_columns_of_one_or_two_values_give_finite_figures(settings: MonitorParams, tmp_path: Path) -> None:
    reference, window = readings(500, 1), readings(500, 2)
    reference["height"] = window["height"] = 84.0  # constant, and the same
    reference["tokens"], window["tokens"] = 1.0, 2.0  # constant, and another
    reference["width"], window["width"] = 280.0, window["width"]  # constant, then not
    window["confidence"] = 0.5  # constant, which it was not
    reference["ink"] = np.where(np.arange(500) % 2, 0.0, 1.0)
    window["ink"] = np.where(np.arange(500) % 2, 0.0, 1.0)
    drift = look(settings, reference, window, tmp_path)
    assert all(math.isfinite(value) for c in drift.columns for value in (c.psi, c.p_value))
    assert {c.name: c.drifted for c in drift.columns} == {
        "tokens": True,
        "confidence": True,
        "width": True,
        "height": False,
        "ink": False,
    }


@pytest.mark.slow
def test_the_page_needs_no_network_and_stands_whole(
    settings: MonitorParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    window = read_window(logged(settings.folder, readings(300, 2)), "3", 24, DRAWN, NOW)
    compare(readings(300, 1), window, settings, tmp_path / "reports")
    assert os.environ["DO_NOT_TRACK"], "Evidently would report home"
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["drift.html", "drift.md"]
    page = (tmp_path / "reports" / "drift.html").read_text()
    assert all(f"Drift in column '{column}'" in page for column in COLUMNS)
    # What it loads when it is opened: the address of maps that is in Plotly is asked for by maps alone.
    assert not re.findall(r"<(?:script|img|iframe|link)[^>]*\s(?:src|href)=[\"']?(?:https?:)?//", page)
    assert not re.findall(r"url\([\"']?https?:|@import\s+[\"']", page)
