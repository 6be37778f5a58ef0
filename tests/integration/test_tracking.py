"""MLflow's server goes, comes back, or has nowhere to put artifacts: a training goes on, and says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.config import Params
from components.deployment.service_process import free_port
from components.registry.mlflow_client import TrackingError, connect, tracking_errors
from components.stages.train import tracked
from tests.integration.servers import Server, mlflow_server

PATIENCE = 60  # seconds; MLflow by itself takes 255


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = mlflow_server(tmp_path / "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    yield server
    server.stop()


def epoch(number: int) -> SimpleNamespace:
    return SimpleNamespace(epoch=number, valid_loss=1 / (number + 1))


def test_metrics_of_a_server_that_was_away_are_sent_when_it_is_back(
    server: Server, params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracked(params, "hash", tmp_path / "training") as run:
        assert run is not None
        run.log_epoch(epoch(0))
        assert "training goes on" not in capsys.readouterr().err
        server.stop()
        start = time.monotonic()
        run.log_epoch(epoch(1))
        assert time.monotonic() - start < PATIENCE
        [told] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train: ")]
        assert server.url in told and "MLFLOW_TRACKING_URI" in told
        server.start()
        run.log_epoch(epoch(2))
        history = connect().MlflowClient().get_metric_history(run.id, "valid_loss")
        assert [(metric.step, metric.value) for metric in history] == [(0, 1), (1, 1 / 2), (2, 1 / 3)]
        server.stop()
    assert "is not marked as FINISHED" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_told_before_training(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    start = time.monotonic()
    with pytest.raises(TrackingError) as raised, tracked(params, "hash", tmp_path / "training"):
        pytest.fail("training began")
    assert time.monotonic() - start < PATIENCE
    assert address in str(raised.value) and "\n" not in str(raised.value)


def test_an_artifact_store_that_takes_nothing_is_told_in_seconds(
    server: Server, params: Params, tmp_path: Path
) -> None:
    (tmp_path / "mlflow/artifacts").touch()  # no folder: as with a full disk, the server answers 500
    (tmp_path / "card.md").touch()
    mlflow = connect("ocr")
    with mlflow.start_run():
        start = time.monotonic()
        with pytest.raises(TrackingError, match="artifact store"), tracking_errors():
            mlflow.log_artifact(str(tmp_path / "card.md"))
        assert time.monotonic() - start < PATIENCE
