"""Drift check: a real shift is found, sampling noise is not, and too few predictions give no verdict."""

from __future__ import annotations

import json
import math
import os
import re
from base64 import b64decode
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.config import MonitorParams, Params
from components.monitoring.drift import check_drift, compare
from components.monitoring.reference import COLUMNS, DriftError, read_reference, write_reference
from components.monitoring.result import Drift
from components.monitoring.statistics import sample_psi
from components.monitoring.window import read_window
from components.recognizer.features import Observation

NOW = datetime(2026, 11, 24, 12)
LOG = "readings/data/data.1.log"


def predictions(n: int, seed: int, **shift: float) -> pd.DataFrame:
    """Predictions like those on a test split; `shift` is added to columns."""
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


def check(settings: MonitorParams, reference: pd.DataFrame, window: pd.DataFrame, folder: Path) -> Drift:
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
    assert sorted(window.predictions["tokens"]) == [1, 2, 11, 12]
    assert set(window.predictions["tokens"][:2]) == {2, 12}, "the oldest come first"
    assert (window.end - window.start, window.invalid_lines) == (timedelta(hours=24), 0)


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
    assert (len(window.predictions), window.invalid_lines) == (1, len(broken) + 1)


def test_photographs_do_not_count_unless_asked_for(settings: MonitorParams, tmp_path: Path) -> None:
    kinds = ("strokes", "inkml", "picture", "picture")
    write_log(tmp_path, "".join(line(NOW, kind=kind) for kind in kinds))
    drawn = read_window(tmp_path, "3", 24, DRAWN, NOW)
    assert (len(drawn.predictions), drawn.excluded) == (2, 2)
    assert len(read_window(tmp_path, "3", 24, ("picture",), NOW).predictions) == 2
    drift = compare(predictions(300, 1).assign(kind="ink"), drawn, settings, tmp_path)
    assert not drift.judged and "monitor.kinds" in drift.reason


def test_pictures_are_compared_with_pictures(settings: MonitorParams, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"kinds": (*DRAWN, "picture")})
    ink, pictures = predictions(500, 1), predictions(500, 2, width=200, ink=0.1)
    reference = pd.concat([ink.assign(kind="ink"), pictures.assign(kind="picture")])
    now = [
        predictions(300, 3).assign(kind="strokes"),
        predictions(300, 4, width=200, ink=0.1, confidence=-0.3).assign(kind="picture"),
    ]
    drift = check(settings, reference, pd.concat(now), tmp_path)
    assert drift.drifted == ("confidence of pictures",)
    assert len(drift.columns) == 2 * len(COLUMNS)
    assert "Histogram of width of pictures" in (tmp_path / "reports" / "drift.html").read_text()


def test_pictures_without_a_reference_are_not_judged_and_it_says_so(
    settings: MonitorParams, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"kinds": (*DRAWN, "picture")})
    now = [
        predictions(300, 3).assign(kind="strokes"),
        predictions(300, 4, confidence=-0.5).assign(kind="picture"),
    ]
    drift = check(settings, predictions(500, 1), pd.concat(now), tmp_path)
    assert drift.judged and not drift.drifted
    assert "300 of pictures are not judged" in drift.reason
    alone = check(settings, predictions(500, 1), now[1], tmp_path)
    assert not alone.judged and "300 of pictures are not judged" in alone.reason


def test_a_reference_keeps_what_was_read(tmp_path: Path) -> None:
    seen = [Observation(3, 0.5, 90, 40, 0.1), Observation(4, 0.25, 80, 30, 0.2)]
    write_reference(seen, ("ink", "picture"), tmp_path / "reference.parquet")
    table = read_reference(tmp_path / "reference.parquet")
    assert table["kind"].tolist() == ["ink", "picture"] and table["tokens"].tolist() == [3, 4]


def test_a_log_that_was_written_before_the_window_is_not_opened(tmp_path: Path) -> None:
    write_log(tmp_path, "broken\n")
    past = (NOW - timedelta(hours=25)).timestamp()
    os.utime(tmp_path / LOG, (past, past))
    assert read_window(tmp_path, "3", 24, DRAWN, NOW).invalid_lines == 0


def test_too_few_predictions_give_no_verdict_and_leave_no_old_plots(
    settings: MonitorParams, tmp_path: Path
) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "drift.html").write_text("of last week")
    drift = check(settings, predictions(300, 1), predictions(199, 2, confidence=9), tmp_path)
    assert (drift.judged, drift.drifted, drift.columns, drift.window_n) == (False, (), (), 199)
    assert "monitor.min_readings" in drift.reason
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["drift.md"]
    assert "# Drift: no verdict" in (tmp_path / "reports" / "drift.md").read_text()


def test_before_anything_was_served_there_are_no_predictions(settings: MonitorParams, tmp_path: Path) -> None:
    predictions(300, 1).to_parquet(tmp_path / "reference.parquet")
    drift = check_drift(settings, "3", tmp_path / "reference.parquet", tmp_path / "reports")
    assert (drift.window_n, drift.judged) == (0, False)
    assert str(settings.folder) in drift.reason


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (None, "file not found"),
        (predictions(9, 1).drop(columns="ink"), "tokens, .*, ink"),
        (predictions(0, 1), "finite numbers"),
        (predictions(9, 1, ink=math.nan), "finite numbers"),
    ],
)
def test_a_reference_that_can_not_be_one_is_named(
    table: pd.DataFrame | None, fault: str, tmp_path: Path
) -> None:
    if table is not None:
        table.to_parquet(tmp_path / "reference.parquet")
    with pytest.raises(DriftError, match=rf"reference\.parquet: .*{fault}"):
        read_reference(tmp_path / "reference.parquet")


def test_a_reference_of_another_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "reference.parquet").write_text("tokens,confidence")
    with pytest.raises(DriftError, match=r"reference\.parquet: not a Parquet file"):
        read_reference(tmp_path / "reference.parquet")


def test_a_real_shift_is_found_in_its_columns_and_only_there(settings: MonitorParams, tmp_path: Path) -> None:
    drift = check(settings, predictions(1000, 1), predictions(400, 2, confidence=-0.2, ink=0.05), tmp_path)
    assert drift.drifted == ("confidence", "ink")
    by_name = {column.name: column for column in drift.columns}
    assert by_name["confidence"].reference_median == pytest.approx(0.5, abs=0.03)
    assert by_name["confidence"].window_median == pytest.approx(0.3, abs=0.03)
    text = (tmp_path / "reports" / "drift.md").read_text()
    assert text.startswith("# Drift: yes\n")
    assert re.search(r"\| ink \| 0\.0\d+ \| 0\.1\d+ \| \d\.\d+ \| \S+ \| \*\*yes\*\* \|", text)
    assert "400 predictions by version 3, 2026-11-23 12:00 to 2026-11-24 12:00" in text


@pytest.mark.parametrize("n", [200, 4000])
def test_another_sample_of_the_same_has_not_drifted(n: int, settings: MonitorParams, tmp_path: Path) -> None:
    drift = check(settings, predictions(1000, 1), predictions(n, 2), tmp_path)
    assert drift.judged
    assert not drift.drifted


def test_the_reference_itself_has_not_drifted_at_all(settings: MonitorParams, tmp_path: Path) -> None:
    drift = check(settings, predictions(500, 1), predictions(500, 1), tmp_path)
    assert [(column.psi, column.p_value) for column in drift.columns] == [(0, 1)] * len(COLUMNS)


def test_a_small_shift_of_many_readings_is_no_drift(settings: MonitorParams, tmp_path: Path) -> None:
    drift = check(settings, predictions(4000, 1), predictions(4000, 2, confidence=0.02), tmp_path)
    confidence = drift.columns[COLUMNS.index("confidence")]
    assert confidence.p_value < settings.p_value
    assert not drift.drifted


def test_columns_of_one_or_two_values_give_finite_figures(settings: MonitorParams, tmp_path: Path) -> None:
    reference, window = predictions(500, 1), predictions(500, 2)
    reference["height"] = window["height"] = 84.0  # constant, and the same
    reference["tokens"], window["tokens"] = 1.0, 2.0  # constant, and another
    reference["width"], window["width"] = 280.0, window["width"]  # constant, then not
    window["confidence"] = 0.5  # constant, which it was not
    reference["ink"] = np.where(np.arange(500) % 2, 0.0, 1.0)
    window["ink"] = np.where(np.arange(500) % 2, 0.0, 1.0)
    drift = check(settings, reference, window, tmp_path)
    assert all(math.isfinite(value) for c in drift.columns for value in (c.psi, c.p_value))
    assert {c.name: c.drifted for c in drift.columns} == {
        "tokens": True,
        "confidence": True,
        "width": True,
        "height": False,
        "ink": False,
    }


def test_psi_is_the_textbook_sum_over_the_deciles_of_the_reference() -> None:
    reference = np.arange(1000.0)
    window = np.repeat(np.arange(0.0, 1000.0, 100), [19, 9, 9, 9, 9, 9, 9, 9, 9, 9])  # the first decile twice
    expected, actual = np.full(10, 0.1), np.array([20, *[10] * 9]) / 110
    assert sample_psi(reference, window) == pytest.approx(
        ((actual - expected) * np.log(actual / expected)).sum()
    )


def test_the_page_has_a_histogram_of_each_column_and_loads_nothing(
    settings: MonitorParams, tmp_path: Path
) -> None:
    drift = check(settings, predictions(300, 1), predictions(300, 2), tmp_path)
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["drift.html", "drift.md"]
    page = (tmp_path / "reports" / "drift.html").read_text()
    plots = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="Histogram of (\w+)"', page)
    assert [name for _, name in plots] == [column.name for column in drift.columns]
    assert all(b64decode(png).startswith(b"\x89PNG") for png, _ in plots)
    assert "<script" not in page and "http" not in page
