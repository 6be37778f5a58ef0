"""Run a service in its own processes, on a free port, for the length of a `with` block."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx
import psutil

# The serving environment if there is one: Bentos are tested and served without the training packages.
_SERVING = Path(".venv-serve/bin/python").absolute()
BENTOML = (str(_SERVING) if _SERVING.exists() else sys.executable, "-m", "bentoml")

_PORT_ATTEMPTS = 3
_PORT_TAKEN = "ddress already in use"  # common to all runtimes' messages, some of which begin in upper case
_LOG_TAIL = 2000  # characters quoted in an error


class NotReadyError(RuntimeError):
    """The service exited or was not ready in time; the message has the end of its log."""


class ServiceProcess:
    """A command that serves HTTP, started and stopped with a `with` block.

    `{port}` in the command stands for the port. The environment is this process's, without the variables of
    `unset`, updated with `environment`. `home` is the BentoML home whose models and Bentos are used; each
    service gets a home of its own that links to them, because BentoML empties the folder of Prometheus files
    in its home at every start, even while another service uses it. Output goes to stderr with `show_output`,
    otherwise to `log`, which is also how a taken port is recognized: the service is then started on another.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        home: Path | None = None,
        unset: Sequence[str] = ("REDIS_URL",),
        ready_timeout: float = 90,
        show_output: bool = False,
    ) -> None:
        self.port = free_port()
        self.seconds = float("nan")  # from start to readiness
        self._command = command
        inherited = {name: value for name, value in os.environ.items() if name not in unset}
        self._environment = inherited | dict(environment)
        self._home, self._ready_timeout, self._show_output = home, ready_timeout, show_output

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="service-")
        if self._home is not None:
            for name in ("models", "bentos"):
                if (self._home / name).is_dir():
                    (Path(self._folder.name) / name).symlink_to((self._home / name).absolute())
            self._environment["BENTOML_HOME"] = self._folder.name
        for attempt in range(_PORT_ATTEMPTS):
            if attempt:
                self.port = free_port()
            command = [part.format(port=self.port) for part in self._command]
            if self._start(command):
                return self
            self.stop()
            log = self.log
            if _PORT_TAKEN not in log:
                break
        self._folder.cleanup()
        raise NotReadyError(f"{' '.join(command)} is not ready; end of its log: {log[-_LOG_TAIL:]}")

    def _start(self, command: Sequence[str]) -> bool:
        """Start the command; return whether it becomes ready."""
        start = time.perf_counter()
        # Logs go to a file: a pipe that nobody reads fills up after some hundred requests and blocks the
        # service. A session of its own keeps Ctrl-C for the parent, which then stops the service.
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=self._environment, start_new_session=True,
                stdout=sys.stderr if self._show_output else log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        while time.perf_counter() - start < self._ready_timeout and self.process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/readyz", timeout=5).status_code == 200:
                    self.seconds = time.perf_counter() - start
                    return True
            time.sleep(0.02)
        return False

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All output so far."""
        return self._log.read_text(errors="replace")

    @property
    def processes(self) -> list[psutil.Process]:
        """All running processes of the service."""
        if self.process.poll() is not None:
            return []
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def stop(self, timeout: float = 90) -> None:
        """Terminate the service and wait for its processes; kill those still running after `timeout`."""
        processes = self.processes
        self.process.terminate()
        for survivor in psutil.wait_procs(processes, timeout=timeout)[1]:
            survivor.kill()
        self.process.wait()

    @property
    def _log(self) -> Path:
        return Path(self._folder.name) / "log"


def free_port() -> int:
    """Return a port that is free now. Another process may take it before the service does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
