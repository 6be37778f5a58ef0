"""The champion, served on this machine without a pause: when the alias moves, the new one takes over.

HAProxy stands in front of two places. The new champion's Bento starts in the free one; once it is ready it
gets all new requests, and the old one ends when those that it has are answered.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from types import FrameType

import bentoml

from components.config import load_params
from components.deployment.packaging import PackagingError, bento_of
from components.deployment.service_process import BENTOML, NotReadyError, Served
from components.registry.model_versions import CHAMPION, Registered, Registry, RegistryError

CONFIG = Path("deploy/live/haproxy.cfg")

_LOOK = 2.0  # seconds between two looks at the alias
_AGAIN = 60.0  # seconds until what did not start is tried again
_DRAIN = 40.0  # seconds that requests under way have


class LiveError(RuntimeError):
    """There is nothing to serve, or nothing to serve it with; the message says what to do."""


@dataclass(frozen=True)
class Instance:
    """A Bento that is served in one of the two places."""

    place: str
    version: str
    service: Served

    @property
    def alive(self) -> bool:
        return self.service.process.poll() is None


def serve_champion(port: int) -> int:
    """Serves the champion on `port` until SIGTERM or Ctrl-C. Raises LiveError."""
    if shutil.which("haproxy") is None:
        raise LiveError("HAProxy is needed: `./setup.sh packages haproxy`, or apt-get install haproxy")
    signal.signal(signal.SIGTERM, _interrupt)
    params = load_params()
    with Front(port) as front:
        live = Live(front, Registry(params.register_.name), params.evaluate.beam)
        try:
            while True:
                live.look()
                front.check()
                time.sleep(_LOOK)
        except KeyboardInterrupt:
            return 0
        finally:
            live.end()


class Live:
    """What is served now, and the change to what should be."""

    def __init__(self, front: Front, registry: Registry, beam: int) -> None:
        self._front, self._registry, self._beam = front, registry, beam
        self._now: Instance | None = None
        self._failed: tuple[str, float] | None = None  # a version that did not start, and when

    def look(self) -> None:
        """Brings what is served in line with the registry. Raises LiveError as long as nothing is served."""
        champion = self._champion()
        if champion is None or not self._wanted(champion):
            return
        try:
            self._change_over(champion)
            self._failed = None
        except (NotReadyError, PackagingError, RegistryError) as error:
            self._failed = champion.version, time.monotonic()
            say(f"version {champion.version} is not served: {error}")

    def end(self) -> None:
        """Lets what is served answer what it has begun, and ends it."""
        if self._now is not None:
            self._retire(self._now)
            self._now = None

    def _champion(self) -> Registered | None:
        """The champion; the registry may be away for a while once something is served."""
        try:
            champion = self._registry.find(CHAMPION)
        except RegistryError as error:
            if self._now is None:
                raise LiveError(str(error)) from None
            say(f"{error}; version {self._now.version} goes on")
            return None
        if champion is None and self._now is None:
            raise LiveError(f"{self._registry.name} has no {CHAMPION}: `python -m flows promote` makes one")
        return champion

    def _wanted(self, champion: Registered) -> bool:
        if self._failed is not None and self._failed[0] == champion.version:
            return time.monotonic() - self._failed[1] > _AGAIN
        return self._now is None or self._now.version != champion.version or not self._now.alive

    def _change_over(self, champion: Registered) -> None:
        """Starts the champion in the free place, then ends the other. Raises what `look` catches."""
        before, bento = self._now, bento_of(self._registry, champion, self._beam)
        place = "b" if before is not None and before.place == "a" else "a"
        service = Served(
            [*BENTOML, "serve", bento, "--host", "127.0.0.1", "--port", "{port}"],
            {"TRUSTED_PROXIES": os.environ.get("TRUSTED_PROXIES") or "127.0.0.1"},
            home=Path(bentoml.get(bento).path).parents[2],  # of bentos/NAME/VERSION
            without=(),
            shown=True,
        ).__enter__()
        self._front.put(place, service.port)
        self._now = Instance(place, champion.version, service)
        say(f"version {champion.version} ({bento}) answers, {service.seconds:.1f} s after it was started")
        if before is not None:
            self._retire(before)
            say(f"version {before.version} has ended")

    def _retire(self, instance: Instance) -> None:
        """No new requests for an instance; it ends when it has answered those that it has."""
        self._front.drain(instance.place)
        instance.service.__exit__(None, None, None)


def say(sentence: str) -> None:
    """One line for the operator."""
    print(f"live: {sentence}", file=sys.stderr, flush=True)


class Front:
    """HAProxy, for the length of a `with` block."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __enter__(self) -> Front:
        self._folder = tempfile.TemporaryDirectory(prefix="live-")
        self._socket = Path(self._folder.name) / "haproxy.sock"
        config = Path(self._folder.name) / "haproxy.cfg"
        template = Template(CONFIG.read_text(encoding="utf-8"))
        config.write_text(template.substitute(PORT=self.port, SOCKET=self._socket), encoding="utf-8")
        # Not in this process's group: Ctrl-C is for this process, which drains first.
        self._process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], start_new_session=True)
        until = time.monotonic() + 10
        while not self._socket.exists():
            self.check()
            if time.monotonic() > until:
                raise LiveError("HAProxy does not start")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    def check(self) -> None:
        """Raises LiveError where HAProxy has ended."""
        if self._process.poll() is not None:
            raise LiveError(
                f"HAProxy ended with status {self._process.returncode}: is port {self.port} taken?"
            )

    def put(self, place: str, port: int) -> None:
        """From now on a place's requests go to this port; returns when they do."""
        self._tell(f"set server service/{place} addr 127.0.0.1 port {port}")
        self._tell(f"set server service/{place} state ready")
        self._tell(f"enable health service/{place}")
        self._until(lambda: self._column(place, "status").startswith("UP"), 10)

    def drain(self, place: str) -> None:
        """No new requests for a place; returns when those under way are answered."""
        self._tell(f"set server service/{place} state drain")
        self._until(lambda: self._column(place, "scur") == "0", _DRAIN)
        self._tell(f"set server service/{place} state maint")

    def _column(self, place: str, name: str) -> str:
        header, *rows = self._tell("show stat service 4 -1").lstrip("# ").splitlines()
        names = header.split(",")
        row = next(row.split(",") for row in rows if row.split(",")[1] == place)
        return row[names.index(name)]

    def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not condition() and time.monotonic() < until:
            time.sleep(0.05)

    def _tell(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self._socket))
            link.sendall(f"{command}\n".encode())
            answer = b""
            while piece := link.recv(1 << 16):
                answer += piece
        return answer.decode()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
