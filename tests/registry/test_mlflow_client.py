"""A registry is its folder's; MLflow's errors become one line, those about our files stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.registry.mlflow_client import DEFAULT, TrackingError, connect, tracking_errors, tracking_uri


def test_the_default_registry_is_the_working_folder_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        experiment = connect("experiment").get_experiment_by_name("experiment")
        assert experiment.artifact_location == (folder / "mlartifacts").as_uri()
        assert (tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")) == (DEFAULT, None)


def test_an_error_of_the_server_is_one_line_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@mlflow.example:5000")
    mlflow = connect()
    with pytest.raises(TrackingError) as raised, tracking_errors():
        raise mlflow.MlflowException("no\nanswer " + "x" * 1000)
    message = str(raised.value)
    assert "http://mlflow.example:5000" in message and "MLFLOW_TRACKING_URI" in message
    assert "no answer" in message and "secret" not in message
    assert "\n" not in message and len(message) < 700


def test_a_request_that_fails_is_the_server_s_fault_and_a_missing_file_is_not(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="connection reset"), tracking_errors():
        raise ConnectionResetError("connection reset")
    with pytest.raises(FileNotFoundError), tracking_errors():
        (tmp_path / "metrics.json").read_text()
