"""A worker elsewhere clones, pulls and runs a flow; one retraining at a time on all machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from flows.locks import LIMIT
from tests.integration.clone import ROOT, Clone
from tests.integration.servers import Server, mlflow_server, prefect_server
from tests.integration.test_flows import House, until

pytestmark = pytest.mark.nightly

_HOLD = """
from flows import locks
locks._PATIENCE = {patience}
with locks.server_lock():
    print("held", flush=True)
    {then}
"""


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = prefect_server(tmp_path_factory.mktemp("prefect") / "server")
    yield server
    server.stop()


@pytest.fixture
def house(trained: Path, prefect: Server, tmp_path: Path) -> Iterator[House]:
    mlflow = mlflow_server(tmp_path / "mlflow")
    yield House(tmp_path, trained, prefect, mlflow)
    mlflow.stop()


def share(clone: Clone, folder: Path, remote: str | None = None) -> str:
    """Commit a clone, and push it and its data; return the git remote's address.

    The git remote is in `folder`, and so is DVC's, if no other is given.
    """
    origin = folder / "origin.git"
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    clone.run("git", "init", "--quiet", "--bare", "--initial-branch", "main", str(origin))
    clone.run("dvc", "remote", "add", "--default", "store", remote or str(folder / "dvc-remote"))
    clone.run("git", "checkout", "--quiet", "-B", "main")
    clone.run("git", "add", "--all")
    clone.run(*git, "commit", "--quiet", "--message", "All")
    clone.run("git", "push", "--quiet", f"file://{origin}", "main")
    clone.run("dvc", "push")
    return f"file://{origin}"


@contextmanager
def worker(house: House, folder: Path, kind: str = "process", packages: str | None = None) -> Iterator[Path]:
    """A worker of the pool that starts in `folder`, far from any clone; yields its log.

    `packages` is a folder of packages that this kind of worker needs besides.
    """
    folder.mkdir()
    log = folder / "worker.log"
    environment = house.environment | {"PREFECT_HOME": str(folder / "home"), "DO_NOT_TRACK": "1"}
    environment.pop("PYTHONPATH", None)  # its PATH begins with the environment's programs
    if packages is not None:
        environment["PYTHONPATH"] = packages
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["prefect", "worker", "start", "--pool", "handwriting", "--type", kind],
            cwd=folder, env=environment, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    try:
        yield log
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def finished(house: House, run: str) -> dict | None:
    found = httpx.get(f"{house.prefect.url}/api/flow_runs/{run}").json()
    return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None


def retrain(house: House, seconds: float, log: Path) -> str:
    """Run the deployment `retrain/schedule` to its end; return its message."""
    deployment = httpx.get(f"{house.prefect.url}/api/deployments/name/retrain/schedule").json()
    address = f"{house.prefect.url}/api/deployments/{deployment['id']}/create_flow_run"
    run = httpx.post(address, json={}).json()["id"]
    until(lambda: finished(house, run), seconds, "the worker does not finish the run")
    done = finished(house, run)
    assert done is not None and done["state_type"] == "COMPLETED", (done, log.read_text())
    return str(done["state"]["message"])


def test_a_worker_in_another_folder_retrains(house: House, tmp_path: Path) -> None:
    house.set("pipeline", push=True)
    house.environment |= {"REPOSITORY": share(house, tmp_path), "WORK_DIR": str(tmp_path / "clones")}
    (tmp_path / "clones").mkdir()
    house.run("prefect", "--no-prompt", "work-pool", "create", "handwriting", "--type", "process")
    house.run("prefect", "--no-prompt", "deploy", "--all")
    with worker(house, tmp_path / "elsewhere") as log:
        message = retrain(house, 500, log)
    assert "ran register;" in message and "11 cached" in message, message
    assert house.alias("champion") == "1"
    assert (tmp_path / "clones/retraining/reports/registered.json").exists()


def hold(prefect: Server, folder: Path, patience: float, then: str = "pass") -> subprocess.Popen[str]:
    """A process on another machine, so to speak, that takes the slot."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", _HOLD.format(patience=patience, then=then)], cwd=folder, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": f"{prefect.url}/api"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_the_lock_holds_across_machines_and_a_dead_one_gives_it_up(prefect: Server, tmp_path: Path) -> None:
    first = hold(prefect, tmp_path / "first", 30, "import time; time.sleep(600)")
    assert first.stdout is not None and any(line.startswith("held") for line in first.stdout)
    second = hold(prefect, tmp_path / "second", 3)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 1 and "BusyError" in output and LIMIT in output, output
    first.kill()
    first.wait()
    prefect.stop()
    prefect.start()  # it remembers who held the slot
    start = time.monotonic()
    third = hold(prefect, tmp_path / "third", 150)
    output, _ = third.communicate(timeout=240)
    assert third.returncode == 0 and "held" in output, output
    assert time.monotonic() - start < 150
