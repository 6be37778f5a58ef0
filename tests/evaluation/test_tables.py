"""Excerpts of the evaluation for dashboards."""

from __future__ import annotations

import json
from pathlib import Path

from components.data.shards import read_table
from components.evaluation.metrics import Answer
from components.evaluation.report.predictions import write_predictions
from components.evaluation.report.tables import error_table, metric_rows
from components.registry.links import version_link


def test_metrics_are_percentages_and_missing_ones_are_left_out() -> None:
    rows = metric_rows({"n": 12, "exprate": 0.5, "cer": 0.125, "ece": None})
    assert rows == [{"metric": "exprate", "value": "50.00%"}, {"metric": "cer", "value": "12.50%"}]


def test_the_table_of_mistakes_has_their_pictures(project: Path, tmp_path: Path) -> None:
    shards = project / "data/shards/test"
    ids = [row["id"] for row in read_table(shards, ["id"]).to_pylist()]
    answers = [Answer(id, ("x",), ("x",) if number else ("|", "y"), 0.9) for number, id in enumerate(ids)]
    write_predictions(answers, tmp_path / "predictions.parquet")
    table = error_table(tmp_path / "predictions.parquet", shards, 5).splitlines()
    assert len(table) == 3 and table[2].startswith(f"| ![{ids[0]}](data:image/png;base64,")
    assert table[2].endswith("| `x` | `\\| y` | 90% |"), "a bar in LaTeX does not end the cell"
    write_predictions(answers[1:], tmp_path / "predictions.parquet")
    assert "|" not in error_table(tmp_path / "predictions.parquet", shards, 5)


def test_a_version_is_linked_where_the_registry_has_pages() -> None:
    registered = json.loads('{"model": "models:/ocr@challenger", "version": 3, "run": "r", "registry": ""}')
    assert "(http://host/#/models/ocr/versions/3)" in version_link(registered | {"registry": "http://host/"})
    assert "sqlite:///mlflow.db" in version_link(registered | {"registry": "sqlite:///mlflow.db"})
