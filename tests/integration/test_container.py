"""The image for real: built from a Bento by Docker Engine, run as deployments run it, and asked.

`make test-all` runs this; `make test` installs no engine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from components.deployment.service_process import free_port
from tests.integration.engine import Debootstrap, Engine, debootstrap, docker_engine, of_pip

ROOT = Path(__file__).parents[2]
LARGEST = 800_000_000  # bytes

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with docker_engine(in_memory=True) as engine:
        yield engine


@pytest.fixture(scope="module")
def base(engine: Engine) -> Iterator[Debootstrap]:
    with debootstrap(engine, ["python3", "python3-venv", "ca-certificates"]) as started:
        yield started


@pytest.fixture(scope="module")
def bento(
    request: pytest.FixtureRequest,
    engine: Engine,
    base: Debootstrap,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """A Bento of a registered model too small to read anything: the environment that it is found in."""
    folder = tmp_path_factory.mktemp("bento")
    # Not asked for as an argument: it would be made, which takes a while, before the engine has said no.
    shutil.copytree(request.getfixturevalue("exported"), folder / "project")
    for name in ("params.yaml", "presets"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "project" / name)
    environment = engine.environment | {
        "BENTOML_HOME": str(folder / "bentoml"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    (folder / "bentoml").mkdir()
    for module, where in (("components.stages.register", folder / "project"), ("flows", ROOT)):
        arguments = ["build"] if module == "flows" else []
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=where, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return environment | {"BENTO": done.stdout.split()[-1]}


@pytest.fixture(scope="module")
def image(
    engine: Engine, base: Debootstrap, bento: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The image, as build.sh builds it."""
    options = {"BASE": base.image(engine), "NETWORK": "host"}
    done = subprocess.run(
        [ROOT / "deploy" / "container" / "build.sh", bento["BENTO"]],
        env=bento | options | of_pip(tmp_path_factory.mktemp("pip")),
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip()


@dataclass(frozen=True)
class Served:
    """A container of the image."""

    engine: Engine
    name: str
    port: int
    seconds: float  # until it was ready

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def shell(self, command: str) -> str:
        return self.engine.docker("exec", self.name, "sh", "-c", command, check=False)


def serve(engine: Engine, image: str) -> Served:
    """Runs the image with all rights taken away, and waits until it is ready."""
    port = free_port()
    start = time.monotonic()
    name = engine.docker(
        "run", "--detach", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--env", "AUTH=off", "--env", f"PORT={port}", image,
    )  # fmt: skip
    until = start + 90
    while time.monotonic() < until and engine.docker("inspect", "-f", "{{.State.Running}}", name) == "true":
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200:
                return Served(engine, name, port, time.monotonic() - start)
        time.sleep(0.2)
    pytest.fail(f"the container does not get ready: {engine.docker('logs', name)[-4000:]}")


@pytest.fixture(scope="module")
def served(engine: Engine, image: str) -> Served:
    return serve(engine, image)


def test_it_reads_a_picture_and_ink(served: Served) -> None:
    for path, file, kind in (
        ("/predict", "sample.png", "image/png"),
        ("/predict/strokes", "sample.inkml", "application/inkml+xml"),
    ):
        answer = httpx.post(
            served.address + path,
            content=(ROOT / "docs" / file).read_bytes(), headers={"content-type": kind}, timeout=30,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        read = answer.json()
        assert isinstance(read["formula"], str) and 0 <= read["confidence"] <= 1 and read["timestamp"]
    health = httpx.get(f"{served.address}/health", timeout=30)
    assert health.status_code == 200 and health.json()["model"] == "ok"
    assert 'ocr_requests_total{method="POST"' in httpx.get(f"{served.address}/metrics", timeout=30).text


def test_it_listens_to_the_world_on_the_port_that_it_is_given(served: Served) -> None:
    listening = [c.laddr for c in psutil.net_connections("tcp4") if c.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening if address.port == served.port] == ["0.0.0.0"]


def test_it_is_not_root_and_writes_nothing_but_to_tmp(served: Served) -> None:
    assert served.shell("id -u") == "1034"
    assert served.engine.docker("inspect", "-f", "{{.Config.User}}", served.name) == "1034:1034"
    processes = served.engine.docker("top", served.name, "-eo", "pid,uid").split()[3::2]
    assert len(processes) >= 3 and set(processes) == {"1034"}
    for folder in ("/", "/app", "/home/bentoml", "/home/bentoml/bento", "/keys"):
        assert "Read-only file system" in served.shell(f"touch {folder}/x")
    assert served.engine.docker("diff", served.name) == ""


def test_what_belongs_to_the_service_is_not_its_own_to_change(served: Served) -> None:
    """Even where the file system is not read-only, as on Cloud Run."""
    assert served.shell("find /app /home/bentoml -user 1034 -o -perm -o=w ! -type l | head") == ""


def test_the_image_is_small_and_nothing_of_the_build_stays(served: Served, image: str) -> None:
    size = int(served.engine.docker("image", "inspect", "-f", "{{.Size}}", image))
    print(f"image: {size / 1e6:.0f} MB; ready after {served.seconds:.1f} s")
    assert size < LARGEST
    left = "/etc/pip.conf /run/secrets /root/.cache /app/.venv/bin/pip /usr/bin/gcc"
    assert served.shell(f"ls -d {left} 2>/dev/null") == ""
    assert "No module named" in served.shell("python -c 'import torch'")
    history = json.dumps(served.engine.docker("history", "--no-trunc", image))
    assert "pip.conf" not in history, "the build's commands are in a stage that is left behind"


def test_stopped_it_ends_in_time(engine: Engine, image: str) -> None:
    served = serve(engine, image)
    start = time.monotonic()
    engine.docker("stop", "--time", "30", served.name)
    assert time.monotonic() - start < 9, "Cloud Run gives ten seconds"
    assert engine.docker("inspect", "-f", "{{.State.ExitCode}}", served.name) == "0"
