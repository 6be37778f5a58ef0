"""Services that really run: `bentoml serve` in the serving environment, Redis, a registry."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from components.deployment.service_process import ServiceProcess, free_port
from components.ink.raster import RasterSettings, draw
from tests.integration.clone import train
from tests.recognizer.inks import formula
from tests.shared import copy_of, made_once

ROOT = Path(__file__).parents[2]
SERVE = ROOT / ".venv-serve" / "bin" / "bentoml"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the repository in which all stages but `register` have run. Stories take copies of it."""
    return made_once(tmp_path_factory, "trained", train)


@dataclass(frozen=True)
class Registry:
    """A project folder whose bundle is registered; what tells programs where it and BentoML's store are."""

    folder: Path
    environment: dict[str, str]


@pytest.fixture(scope="session")
def registry(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return registered(exported, tmp_path_factory)


def registered(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with the bundle of a project folder."""
    folder = copy_of(exported, tmp_path_factory.mktemp("registered") / "project")
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "presets", folder / "presets")
    environment = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    # By itself: MLflow keeps in the process which store it used last.
    done = subprocess.run(
        [sys.executable, "-m", "components.stages.register"],
        cwd=folder, env=os.environ | environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Registry(folder, environment)


@pytest.fixture(scope="session")
def model(registry: Registry) -> str:
    """The version of the registered bundle in BentoML's store."""
    return promoted(registry, "store", "--model", CHALLENGER).partition(":")[2]


CHALLENGER = "models:/handwritten-math-ocr@challenger"


def promoted(registry: Registry, *what: str) -> str:
    """The tag that `python -m flows build` says."""
    done = subprocess.run(
        [sys.executable, "-m", "flows", *what],
        cwd=ROOT, env=os.environ | registry.environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


Serve = Callable[..., ServiceProcess]


@pytest.fixture
def serve(registry: Registry, model: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts services with settings (environment variables), which end with the test."""
    if not SERVE.exists():
        pytest.skip("needs the serving environment: ./setup.sh serve")
    monkeypatch.chdir(ROOT)
    with ExitStack() as running:

        def start(**settings: object) -> ServiceProcess:
            return running.enter_context(service_of(registry, model, **settings))

        yield start


def service_of(registry: Registry, model: str, **settings: object) -> ServiceProcess:
    """A service with settings (environment variables), not started yet."""
    usual = {"AUTH": "off", "RATE_LIMITS": "off"}
    return ServiceProcess(
        [str(SERVE), "serve", "service:HandwrittenMath", "--arg", f"model={model}",
         "--host", "127.0.0.1", "--port", "{port}"],
        usual | {name.upper(): str(value) for name, value in settings.items()},
        home=Path(registry.environment["BENTOML_HOME"]),
    )  # fmt: skip


class RedisServer:
    """A Redis of the test's own, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--save", "", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("Redis does not start")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """It keeps its connections and answers nothing."""
        self._process.send_signal(19)

    def go_on(self) -> None:
        self._process.send_signal(18)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server: apt-get install redis-server")
    server = RedisServer(tmp_path)
    yield server
    server.go_on()
    server.stop()


def pictures(count: int) -> list[bytes]:
    """So many PNG files with different formulas, of different sizes."""
    files = []
    for number in range(count):
        stretch = np.float32([1 + number / count, 1 + (number % 7) / 20])
        strokes = tuple(stroke * stretch for stroke in formula()[: 2 + number % 6])
        files.append(cv2.imencode(".png", draw(strokes, RasterSettings()))[1].tobytes())
    return files


def predict(client: httpx.Client, picture: bytes, **headers: str) -> httpx.Response:
    return client.post("/predict", content=picture, headers={"content-type": "image/png", **headers})
