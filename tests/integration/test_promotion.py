"""From the registry to a Bento that has been tried: `python -m flows build`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from components.data.feedback_import import collect
from components.deployment.service_process import ServiceProcess
from components.monitoring.window import read_window
from components.recognizer.bundle import load_bundle
from components.registry.bundles import SHIPPED
from tests.integration.conftest import CHALLENGER, ROOT, SERVE, Registry, pictures, predict, promoted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tag(registry: Registry, model: str) -> str:
    """The tag of a Bento of the registered model."""
    return promoted(registry, "build")


def test_the_registered_model_becomes_a_bento_that_serves_it(registry: Registry, tag: str) -> None:
    name, _, version = tag.partition(":")
    bento = Path(registry.environment["BENTOML_HOME"], "bentos", name, version)
    assert (bento / "src/components/serving/page/index.html").exists()
    assert not any(
        part in ("model", "stages") for path in (bento / "src").rglob("*") for part in path.parts[-3:]
    )
    assert not list((bento / "src").glob(".venv*"))
    assert "torch" not in (bento / "env/python/requirements.txt").read_text()
    if not SERVE.exists():
        pytest.skip("needs the serving environment: ./setup.sh serve")
    command = [str(SERVE), "serve", tag, "--host", "127.0.0.1", "--port", "{port}"]
    home = Path(registry.environment["BENTOML_HOME"])
    with ServiceProcess(command, {"AUTH": "off", "RATE_LIMITS": "off"}, home=home) as service:
        assert predict(httpx.Client(base_url=service.address, timeout=30), pictures(1)[0]).status_code == 200
        assert httpx.get(f"{service.address}/model/info").json()["version"] == "1"


@pytest.mark.parametrize("name", ["MONITOR_FOLDER", "FEEDBACK_FOLDER", "API_KEYS_FILE"])
def test_a_bento_refuses_a_relative_path_in_one_line(
    registry: Registry, tag: str, name: str, tmp_path: Path
) -> None:
    if not SERVE.exists():
        pytest.skip("needs the serving environment: ./setup.sh serve")
    done = subprocess.run(
        [SERVE, "serve", tag, "--port", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=os.environ | registry.environment | {"AUTH": "off", name: "kept"},
    )  # fmt: skip
    [line] = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith(f"serve: environment: {name}: ") and "kept" in line


def test_what_a_bento_keeps_reaches_the_trainer(
    registry: Registry, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SERVE.exists():
        pytest.skip("needs the serving environment: ./setup.sh serve")
    monitored, feedback = tmp_path / "kept/monitoring", tmp_path / "kept/feedback"
    settings = {"AUTH": "off", "RATE_LIMITS": "off", "MONITOR_SHARE": "1", "MONITOR_FOLDER": str(monitored),
                "FEEDBACK_FOLDER": str(feedback)}  # fmt: skip
    command = [str(SERVE), "serve", tag, "--host", "127.0.0.1", "--port", "{port}"]
    monkeypatch.chdir(tmp_path)
    with (
        ServiceProcess(command, settings, home=Path(registry.environment["BENTOML_HOME"])) as service,
        httpx.Client(base_url=service.address, timeout=30) as client,
    ):
        answer = client.post("/predict/strokes", json={"strokes": [[[0, 0], [8, 10]], [[8, 0], [0, 10]]]})
        correction = {"request_id": answer.headers["x-request-id"], "formula": "x"}
        assert client.post("/feedback", json=correction).status_code == 201
    assert len(read_window(monitored, "1", 1, {"strokes"}).predictions) == 1
    assert collect(feedback, tmp_path / "collected", tmp_path / "collected.csv").written == 1


def test_the_same_version_is_stored_once(registry: Registry, model: str) -> None:
    tag = promoted(registry, "store", "--model", CHALLENGER)
    assert tag == f"handwritten-math-ocr:{model}"


def test_until_something_is_promoted_the_shipped_model_is_served(registry: Registry, model: str) -> None:
    name, _, version = promoted(registry, "store").partition(":")
    shipped = load_bundle(SHIPPED)
    assert (name, version) == ("handwritten-math-ocr", f"shipped-{shipped.version}")
    stored = Path(registry.environment["BENTOML_HOME"], "models", name, version)
    assert load_bundle(stored).version == shipped.version


def test_a_bento_that_answers_otherwise_is_removed(registry: Registry, model: str, tmp_path: Path) -> None:
    home = tmp_path / "bentoml"
    shutil.copytree(Path(registry.environment["BENTOML_HOME"]) / "models", home / "models", symlinks=True)
    [file] = home.glob("models/*/v1-*/bundle.json")
    content = json.loads(file.read_text())
    content["about"]["example"] += " + 1"  # as if the model read its example otherwise
    file.write_text(json.dumps(content))
    done = run("build", registry, BENTOML_HOME=str(home))
    assert done.returncode == 1 and not done.stdout
    assert "/health answers 503" in done.stderr
    assert not list(home.glob("bentos/*/*/bento.yaml"))


def test_a_registry_without_the_model_says_what_to_do(registry: Registry, tmp_path: Path) -> None:
    done = run("build", registry, MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path / 'empty.db'}")
    assert done.returncode == 1
    assert "champion and models:/handwritten-math-ocr@challenger" in done.stderr
    assert "`dvc repro` registers one" in done.stderr and "Traceback" not in done.stderr


def run(what: str, registry: Registry, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", what],
        cwd=ROOT, env=os.environ | registry.environment | environment, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
