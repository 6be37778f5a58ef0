"""A service started for a while, in processes of its own, on a free port."""

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

_SERVING = Path(
    ".venv-serve/bin/python"
).absolute()  # an environment that has what serving needs, and no more
BENTOML = (str(_SERVING) if _SERVING.exists() else sys.executable, "-m", "bentoml")

_PORTS = 3  # are tried
_TAKEN = "ddress already in use"  # as every language's runtime says it, some with a capital


class NotReadyError(RuntimeError):
    """The service ended, or was not ready in time; the message has its last words."""


class Served:
    """A command that serves, for the length of a `with` block.

    In the command, `{port}` stands for the port. `environment` is laid over that of this process, of which
    the variables of `without` are not passed on. `home` is the BentoML home that models and Bentos are taken
    from: each service gets one of its own, since BentoML empties the folder of measures in it at every start,
    under other services of the same home. What it says goes to stderr where it is to be `shown`,
    else it is kept in `log` until it ends, and where it says that its port is taken it is started on another.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        home: Path | None = None,
        without: Sequence[str] = ("REDIS_URL",),
        patience: float = 90,
        shown: bool = False,
    ) -> None:
        self.port = free_port()
        self.seconds = float("nan")  # until it was ready
        self._command = command
        inherited = {name: value for name, value in os.environ.items() if name not in without}
        self._environment = inherited | dict(environment)
        self._home, self._patience, self._shown = home, patience, shown

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="served-")
        if self._home is not None:
            for name in ("models", "bentos"):
                if (self._home / name).is_dir():
                    (Path(self._folder.name) / name).symlink_to((self._home / name).absolute())
            self._environment["BENTOML_HOME"] = self._folder.name
        for attempt in range(_PORTS):
            if attempt:
                self.port = free_port()
            command = [part.format(port=self.port) for part in self._command]
            if self._starts(command):
                return self
            self.stop()
            said = self.log
            if _TAKEN not in said:
                break
        self._folder.cleanup()
        raise NotReadyError(f"{' '.join(command)} does not get ready; its last words: {said[-2000:]}")

    def _starts(self, command: Sequence[str]) -> bool:
        """Whether the command gets ready."""
        start = time.perf_counter()
        # A file, since nobody reads: a pipe would be full after some hundred requests, and block the service.
        # In a session of its own: Ctrl-C is for who started this, who then ends the service.
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=self._environment, start_new_session=True,
                stdout=sys.stderr if self._shown else log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        while time.perf_counter() - start < self._patience and self.process.poll() is None:
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
        """All that the service has said so far."""
        return self._log.read_text(errors="replace")

    @property
    def processes(self) -> list[psutil.Process]:
        """All of the service that run."""
        if self.process.poll() is not None:
            return []
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def stop(self, patience: float = 90) -> None:
        """Tells the service to end, and waits until it has; kills what then is left."""
        processes = self.processes
        self.process.terminate()
        for left in psutil.wait_procs(processes, timeout=patience)[1]:
            left.kill()
        self.process.wait()

    @property
    def _log(self) -> Path:
        return Path(self._folder.name) / "log"


def free_port() -> int:
    """A port that is free now. Until the service takes it another may, even BentoML's own supervisor."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
