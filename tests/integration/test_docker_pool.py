"""A `docker` pool: each flow run starts in a container of the training image, with neither code nor data.

The commands are those of docs/servers.md. The container reaches git, S3, MLflow and Prefect over the network
alone; of the machine it has a volume at /work.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.deployment.service_process import free_port
from tests.integration.clone import ROOT
from tests.integration.engine import Engine, debootstrap, docker_engine, of_pip
from tests.integration.servers import (
    create_bucket,
    mlflow_server,
    prefect_server,
    s3_environment,
    s3_server,
)
from tests.integration.test_flows import House
from tests.integration.test_work_pool import retrain, share, worker

pytestmark = pytest.mark.nightly

TRAINER, WORK_DIR = 1034, "/work"  # the image's user, and its place for a volume


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with docker_engine(in_memory=False) as engine:
        yield engine


@pytest.fixture(scope="module")
def image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The training image, as build.sh builds it."""
    with debootstrap(engine, ["python3", "python3-venv", "ca-certificates", "git"]) as base:
        options = {"BASE": base.image(engine), "NETWORK": "host"}
    done = subprocess.run(
        [ROOT / "deploy" / "container" / "build.sh", "--training"],
        env=engine.environment | options | of_pip(tmp_path_factory.mktemp("pip")),
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip()


@pytest.fixture
def house(trained: Path, tmp_path: Path) -> Iterator[House]:
    servers = [
        prefect_server(tmp_path / "prefect"),
        mlflow_server(tmp_path / "mlflow"),
        s3_server(tmp_path / "s3"),
    ]
    prefect, mlflow, s3 = servers
    for bucket in ("dvc", "bentos"):
        create_bucket(s3, bucket)
    house = House(tmp_path, trained, prefect, mlflow)
    house.environment |= s3_environment(s3)
    yield house
    for server in servers:
        server.stop()


@contextmanager
def git_server(folder: Path) -> Iterator[str]:
    """Serve the repositories of a folder, to be read and written; yield the address of the folder."""
    port = free_port()
    process = subprocess.Popen(
        ["git", "daemon", "--export-all", "--enable=receive-pack", "--reuseaddr", f"--base-path={folder}",
         "--listen=127.0.0.1", f"--port={port}"],
    )  # fmt: skip
    try:
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def worker_packages(folder: Path) -> str:
    """prefect-docker, which a worker of this kind of pool needs besides. Skips where it can't be had."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder,
         "prefect-docker"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"prefect-docker can't be installed: {done.stderr.strip().splitlines()[-1]}")
    return str(folder)


def create_pool(house: House) -> None:
    """Create the pool, whose template has what all its containers get."""
    template = json.loads((ROOT / "deploy/pools/docker.json").read_text(encoding="utf-8"))
    passed = ("AWS_", "GIT_", "MLFLOW_TRACKING_URI")
    environment = {name: value for name, value in house.environment.items() if name.startswith(passed)}
    for name, value in {"env": environment, "network_mode": "host"}.items():
        template["variables"]["properties"][name]["default"] = value
    file = house.folder.parent / "template.json"
    file.write_text(json.dumps(template))
    house.run(
        "prefect", "--no-prompt", "work-pool", "create", "handwriting", "--type", "docker",
        "--base-job-template", str(file),
    )  # fmt: skip


def test_a_container_retrains_promotes_and_leaves_all_that_it_made(
    engine: Engine, image: str, house: House, tmp_path: Path
) -> None:
    house.set("pipeline", push=True, record="push")
    house.set("deployment", store="s3://bentos/shared")
    share(house, tmp_path, "s3://dvc/store")
    packages = worker_packages(tmp_path / "packages")
    house.environment |= {"DOCKER_HOST": engine.environment["DOCKER_HOST"], "TRAINING_IMAGE": image}
    for role in ("AUTHOR", "COMMITTER"):
        house.environment |= {f"GIT_{role}_NAME": "factory", f"GIT_{role}_EMAIL": "factory@example.org"}
    with git_server(tmp_path) as address:
        house.environment |= {"REPOSITORY": f"{address}/origin.git", "WORK_DIR": WORK_DIR}
        create_pool(house)
        house.run("prefect", "--no-prompt", "deploy", "--all")
        with worker(house, tmp_path / "elsewhere", "docker", packages) as log:
            first, second = retrain(house, 900, log), retrain(house, 900, log)
    assert "ran register;" in first and "11 cached" in first, first
    assert house.alias("champion") == "1"
    assert house.tags("1")["bento_digest"].startswith("sha256:"), "the Bento is in the store"
    assert "nothing to do: version 1 is champion" in second, second
    kept = engine.docker(
        "run", "--rm", "--volume", f"handwriting-work:{WORK_DIR}", image, "stat", "-c", "%u",
        f"{WORK_DIR}/retraining/reports/registered.json",
    )  # fmt: skip
    assert kept == str(TRAINER)
