"""Prefect and MLflow servers for tests, run as an operator runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from components.deployment.service_process import free_port
from flows.deployments import LEASES

_START_TIMEOUT = 180  # seconds; Prefect's server takes half a minute on a busy machine


class Server:
    """A server that can be killed and restarted on the same port with the same data."""

    def __init__(
        self, command: Sequence[str], health: str, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", *command, "--host", "127.0.0.1", "--port", str(self.port)]
        self._health, self._folder, self._environment = health, folder, environment
        self.start()

    def start(self) -> None:
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=os.environ | dict(self._environment),
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(self.url + self._health, timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError(
            f"{self._command} did not start: {(self._folder / 'server.log').read_text()[-2000:]}"
        )

    def stop(self) -> None:
        """Kill the server, as in a crash."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()


def prefect_server(folder: Path, database: str | None = None) -> Server:
    """Start a Prefect server with its database in `folder`, or in the one at an address."""
    folder.mkdir()
    environment = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
        "DO_NOT_TRACK": "1",
    }
    if database is not None:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    return Server(["prefect", "server", "start"], "/api/health", folder, environment)


def mlflow_server(
    folder: Path,
    database: str | None = None,
    artifacts: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Server:
    """Start an MLflow server with its database and artifacts in `folder`, or at addresses.

    It serves artifacts as well.
    """
    folder.mkdir()
    command = ["mlflow", "server", "--workers", "1",
               "--artifacts-destination", artifacts or str(folder / "artifacts")]  # fmt: skip
    settings = {
        "MLFLOW_BACKEND_STORE_URI": database or f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes that nobody here uses
        "DO_NOT_TRACK": "1",
    }
    return Server(command, "/health", folder, settings | dict(environment or {}))


class Postgres:
    """A PostgreSQL server of the test's own, whose user `ada` needs no password; skips without one."""

    def __init__(self) -> None:
        # Debian keeps the programs of servers out of PATH.
        folders = [
            os.environ["PATH"],
            *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)),
        ]
        path = os.pathsep.join(folders)
        missing = [
            name for name in ("initdb", "postgres", "pg_dump") if shutil.which(name, path=path) is None
        ]
        if missing:
            pytest.skip(f"needs PostgreSQL ({', '.join(missing)}): apt-get install postgresql")
        self.port = free_port()
        self._environment = os.environ | {
            "PATH": path, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "ada"
        }  # fmt: skip
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        if self._user:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "--pgdata", "data", "--auth", "trust", "--username", "ada", "--no-sync")
        self._process = subprocess.Popen(
            ["postgres", "-D", "data", "-p", str(self.port), "-k", str(self.folder),
             "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
            cwd=self.folder, env=self._environment, user=self._user,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while self.call("pg_isready", check=False).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL did not start")
            time.sleep(0.2)

    def url(self, driver: str, database: str) -> str:
        return f"postgresql+{driver}://ada@127.0.0.1:{self.port}/{database}"

    def call(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs on this server, as an operator does."""
        done = subprocess.run(
            [program, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        assert not check or not done.returncode, done.stderr
        return done

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.folder)

    def _run(self, *command: str) -> None:
        subprocess.run(
            command, cwd=self.folder, env=self._environment, user=self._user, check=True, capture_output=True
        )


def s3_server(folder: Path) -> Server:
    """Start an S3 server, which keeps its buckets in memory: nothing is left of a killed one."""
    folder.mkdir()
    return Server(["moto.server"], "/moto-api/", folder, {})


def s3_environment(server: Server) -> dict[str, str]:
    """The variables by which fsspec, boto3, DVC and MLflow find the server."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def create_bucket(server: Server, name: str) -> None:
    """Create an empty bucket."""
    httpx.put(f"{server.url}/{name}").raise_for_status()
