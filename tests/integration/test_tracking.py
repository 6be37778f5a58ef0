"""MLflow's server goes, comes back, or has nowhere to put artifacts: a training goes on, and says so.

Each story has a process of its own: MLflow keeps in the process which server it used last.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.config import load_params
from components.deployment.service_process import free_port
from components.registry.mlflow_client import TrackingError, connect, tracking_errors
from components.stages.train import tracked
from tests.integration.servers import mlflow_server

PARAMS = Path(__file__).parents[2] / "params.yaml"
PATIENCE = 60  # seconds; MLflow by itself takes 255


def epoch(number: int) -> SimpleNamespace:
    return SimpleNamespace(epoch=number, valid_loss=1 / (number + 1))


def metrics_are_sent_when_the_server_is_back(folder: Path) -> None:
    server, said = mlflow_server(folder / "mlflow"), io.StringIO()
    os.environ["MLFLOW_TRACKING_URI"] = server.url
    try:
        with redirect_stderr(said), tracked(load_params(PARAMS), "hash", folder / "training") as run:
            run.log_epoch(epoch(0))
            assert "training goes on" not in said.getvalue()
            server.stop()
            start = time.monotonic()
            run.log_epoch(epoch(1))
            assert time.monotonic() - start < PATIENCE
            [told] = [line for line in said.getvalue().splitlines() if line.startswith("train: ")]
            assert server.url in told and "MLFLOW_TRACKING_URI" in told
            server.start()
            run.log_epoch(epoch(2))
            history = connect().MlflowClient().get_metric_history(run.id, "valid_loss")
            assert [(metric.step, metric.value) for metric in history] == [(0, 1), (1, 1 / 2), (2, 1 / 3)]
            server.stop()
        assert "is not marked as FINISHED" in said.getvalue()
    finally:
        server.stop()


def an_absent_server_is_told_before_training(folder: Path) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = address = f"http://127.0.0.1:{free_port()}"
    start = time.monotonic()
    with (
        pytest.raises(TrackingError) as raised,
        tracked(load_params(PARAMS), "hash", folder / "training"),
    ):
        pytest.fail("training began")
    assert time.monotonic() - start < PATIENCE
    assert address in str(raised.value) and "\n" not in str(raised.value)


def an_artifact_store_that_takes_nothing_is_told_in_seconds(folder: Path) -> None:
    server = mlflow_server(folder / "mlflow")
    os.environ["MLFLOW_TRACKING_URI"] = server.url
    (folder / "mlflow/artifacts").touch()  # no folder: as with a full disk, the server answers 500
    (folder / "card.md").touch()
    try:
        mlflow = connect("ocr")
        with mlflow.start_run():
            start = time.monotonic()
            with pytest.raises(TrackingError, match="artifact store"), tracking_errors():
                mlflow.log_artifact(str(folder / "card.md"))
            assert time.monotonic() - start < PATIENCE
    finally:
        server.stop()


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(metrics_are_sent_when_the_server_is_back, marks=pytest.mark.nightly),
        an_absent_server_is_told_before_training,
        pytest.param(an_artifact_store_that_takes_nothing_is_told_in_seconds, marks=pytest.mark.nightly),
    ],
)
def test_a_training_outlives_mlflow(story: Callable[[Path], None], tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=story, args=(tmp_path,))
    process.start()
    process.join(400)
    process.kill()
    assert process.exitcode == 0, "see the traceback in stderr"
