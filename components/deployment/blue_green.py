"""Blue-green deployment of the champion on this machine, without downtime.

HAProxy runs in front of two slots. When the alias `champion` moves, the new version's Bento starts in the
free slot; once it is ready it receives all new requests, and the old one stops after answering those it has.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from types import FrameType

import bentoml

from components.config import load_params
from components.deployment.bento_store import BentoStoreError
from components.deployment.packaging import PackagingError, ensure_bento
from components.deployment.service_process import BENTOML, NotReadyError, ServiceProcess
from components.registry.model_versions import CHAMPION, ModelVersion, Registry, RegistryError
from components.serving.settings import absolute_paths

CONFIG = Path("deploy/blue-green/haproxy.cfg")

_POLL_INTERVAL = 2.0  # seconds between two queries of the registry
_RETRY_INTERVAL = 60.0  # seconds until a version that failed to start is tried again
_DRAIN_TIMEOUT = 40.0  # seconds for requests in flight


class ServeChampionError(RuntimeError):
    """There is no champion to serve or no HAProxy; the message says what to do."""


@dataclass(frozen=True)
class Instance:
    """A version served in one of the two slots."""

    slot: str
    version: str
    service: ServiceProcess

    @property
    def alive(self) -> bool:
        return self.service.process.poll() is None


def serve_champion(port: int, host: str | None = None) -> int:
    """Serve the champion on `port` until SIGTERM or Ctrl-C. Raises ServeChampionError.

    Without a `host`, it listens on all addresses if it asks for keys, otherwise on this machine's own.
    """
    if shutil.which("haproxy") is None:
        raise ServeChampionError(
            "HAProxy is not installed: `./setup.sh packages haproxy`, or apt-get install haproxy"
        )
    signal.signal(signal.SIGTERM, _interrupt)
    params = load_params()
    with HAProxy(port, host or default_host(os.environ)) as proxy:
        deployment = BlueGreenDeployment(proxy, Registry(params.register_.name), params.deployment.store)
        try:
            while True:
                deployment.reconcile()
                proxy.check()
                time.sleep(_POLL_INTERVAL)
        except KeyboardInterrupt:
            return 0
        finally:
            deployment.stop()


def default_host(environment: Mapping[str, str]) -> str:
    """The address to listen on: with AUTH=off only callers on this machine are let in."""
    return "127.0.0.1" if environment.get("AUTH") == "off" else "0.0.0.0"


class BlueGreenDeployment:
    """The running version, and its replacement when the champion changes."""

    def __init__(self, proxy: HAProxy, registry: Registry, store: str | None) -> None:
        self._proxy, self._registry, self._store = proxy, registry, store
        self._current: Instance | None = None
        self._failed: tuple[str, float] | None = None  # a version that did not start, and when

    def reconcile(self) -> None:
        """Bring the running version in line with the registry.

        Raises ServeChampionError as long as nothing is served.
        """
        champion = self._champion()
        if champion is None or not self._is_due(champion):
            return
        try:
            self._deploy(champion)
            self._failed = None
        except (NotReadyError, PackagingError, BentoStoreError, RegistryError) as error:
            self._failed = champion.version, time.monotonic()
            log(f"version {champion.version} failed to start: {error}")

    def stop(self) -> None:
        """Drain and stop the running version."""
        if self._current is not None:
            self._retire(self._current)
            self._current = None

    def _champion(self) -> ModelVersion | None:
        """Return the champion; None while the registry is unavailable but a version is running."""
        try:
            champion = self._registry.find(CHAMPION)
        except RegistryError as error:
            if self._current is None:
                raise ServeChampionError(str(error)) from None
            log(f"{error}; version {self._current.version} keeps running")
            return None
        if champion is None and self._current is None:
            raise ServeChampionError(
                f"{self._registry.name} has no {CHAMPION}: `python -m flows promote` promotes a version"
            )
        return champion

    def _is_due(self, champion: ModelVersion) -> bool:
        if self._failed is not None and self._failed[0] == champion.version:
            return time.monotonic() - self._failed[1] > _RETRY_INTERVAL
        current = self._current
        return current is None or current.version != champion.version or not current.alive

    def _deploy(self, champion: ModelVersion) -> None:
        """Start the champion in the free slot, then retire the other. Raises what `reconcile` catches."""
        previous, bento = self._current, ensure_bento(self._registry, champion, self._store)
        slot = "b" if previous is not None and previous.slot == "a" else "a"
        service = ServiceProcess(
            [*BENTOML, "serve", bento, "--host", "127.0.0.1", "--port", "{port}"],
            {
                "TRUSTED_PROXIES": os.environ.get("TRUSTED_PROXIES") or "127.0.0.1",
                **absolute_paths(os.environ),
            },
            home=Path(bentoml.get(bento).path).parents[2],  # the store of bentos/NAME/VERSION
            unset=(),
            show_output=True,
        ).__enter__()
        self._proxy.enable(slot, service.port)
        self._current = Instance(slot, champion.version, service)
        log(f"version {champion.version} ({bento}) is ready after {service.seconds:.1f} s")
        if previous is not None:
            self._retire(previous)
            log(f"version {previous.version} stopped")

    def _retire(self, instance: Instance) -> None:
        """Drain an instance, then stop it."""
        self._proxy.drain(instance.slot)
        instance.service.__exit__(None, None, None)


def log(message: str) -> None:
    """Print one line for the operator."""
    print(f"serve-champion: {message}", file=sys.stderr, flush=True)


class HAProxy:
    """HAProxy with two slots, for the length of a `with` block."""

    def __init__(self, port: int, host: str) -> None:
        self.port, self.host = port, host

    def __enter__(self) -> HAProxy:
        self._folder = tempfile.TemporaryDirectory(prefix="haproxy-")
        self._socket = Path(self._folder.name) / "haproxy.sock"
        config = Path(self._folder.name) / "haproxy.cfg"
        template = Template(CONFIG.read_text(encoding="utf-8"))
        config.write_text(
            template.substitute(HOST=self.host, PORT=self.port, SOCKET=self._socket), encoding="utf-8"
        )
        # In a session of its own: Ctrl-C is for this process, which drains first.
        self._process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], start_new_session=True)
        deadline = time.monotonic() + 10
        while not self._socket.exists():
            self.check()
            if time.monotonic() > deadline:
                raise ServeChampionError("HAProxy did not start within 10 s")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    def check(self) -> None:
        """Raise ServeChampionError if HAProxy has exited."""
        if self._process.poll() is not None:
            raise ServeChampionError(
                f"HAProxy exited with status {self._process.returncode}; is port {self.port} in use?"
            )

    def enable(self, slot: str, port: int) -> None:
        """Route a slot's requests to a port; return when HAProxy considers it up."""
        self._send(f"set server service/{slot} addr 127.0.0.1 port {port}")
        self._send(f"set server service/{slot} state ready")
        self._send(f"enable health service/{slot}")
        self._wait(lambda: self._stat(slot, "status").startswith("UP"), 10)

    def drain(self, slot: str) -> None:
        """Send a slot no new requests; return when those in flight are answered."""
        self._send(f"set server service/{slot} state drain")
        self._wait(lambda: self._stat(slot, "scur") == "0", _DRAIN_TIMEOUT)
        self._send(f"set server service/{slot} state maint")

    def _stat(self, slot: str, name: str) -> str:
        header, *rows = self._send("show stat service 4 -1").lstrip("# ").splitlines()
        names = header.split(",")
        row = next(row.split(",") for row in rows if row.split(",")[1] == slot)
        return row[names.index(name)]

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _send(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\n".encode())
            answer = b""
            while piece := connection.recv(1 << 16):
                answer += piece
        return answer.decode()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
