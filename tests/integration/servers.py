"""Prefect and MLflow servers for tests, run as an operator runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from components.deployment.service_process import free_port

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


def prefect_server(folder: Path) -> Server:
    """Start a Prefect server with its database in `folder`."""
    folder.mkdir()
    environment = {
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
        "DO_NOT_TRACK": "1",
    }
    return Server(["prefect", "server", "start"], "/api/health", folder, environment)


def mlflow_server(folder: Path) -> Server:
    """Start an MLflow server with its database in `folder`; it serves artifacts as well."""
    folder.mkdir()
    command = ["mlflow", "server", "--workers", "1", "--artifacts-destination", str(folder / "artifacts"),
               "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]  # fmt: skip
    return Server(command, "/health", folder, {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"})


def s3_server(folder: Path) -> Server:
    """Start an S3 server, which keeps its buckets in memory: nothing is left of a killed one."""
    folder.mkdir()
    return Server(["moto.server"], "/moto-api/", folder, {})
