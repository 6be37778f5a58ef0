"""The services that are measured, each in processes of its own, and what these cost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.memory import own_memory
from components.deployment.service_process import NotReadyError, ServiceProcess
from components.serving.settings import Settings

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-serve"


class Measured(ServiceProcess):
    """A service that is measured: nothing that the caller's environment says of it changes that."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], home: Path | None = None
    ) -> None:
        names = [name.upper() for name in Settings.model_fields]
        super().__init__(command, environment, home=home, unset=names, ready_timeout=120)
        self.errors: list[str] = []  # that its log tells of, once it has ended

    @property
    def memory(self) -> int:
        """Bytes that its processes have for themselves."""
        return sum(map(own_memory, self.processes))

    def __exit__(self, *details: object) -> None:
        self.stop()
        self.errors = [line for line in self.log.splitlines() if '"level": "ERROR"' in line]
        super().__exit__(*details)


def ours(model: Path, **settings: str | int) -> Measured:
    """The service with a model of BentoML's store: open to all, without limits and without cache."""
    usual = {"AUTH": "off", "RATE_LIMITS": "off", "CACHE_ANSWERS": "0"}
    return Measured(
        [str(program()), "serve", "service:HandwrittenMath", "--arg", f"model={model.name}",
         "--host", "127.0.0.1", "--port", "{port}"],
        usual | {name.upper(): str(value) for name, value in settings.items()},
        home=model.parents[2],
    )  # fmt: skip


def plain(model: Path) -> Measured:
    """FastAPI around PyTorch, one picture at a time."""
    command = [sys.executable, "-m", "benchmarks.plain_service", "--model", str(model.absolute())]
    return Measured([*command, "--port", "{port}"], {})


def program() -> Path:
    """The program that serves: that of the serving environment, where there is one."""
    slim = ENVIRONMENT / "bin/bentoml"
    return slim if slim.exists() else Path(sys.executable).with_name("bentoml")


def stored_model() -> str:
    """Puts the registered model into BentoML's store. Returns its tag."""
    done = subprocess.run([sys.executable, "-m", "flows", "store"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise NotReadyError(done.stderr.strip())
    return done.stdout.split()[-1]


def disk_usage(folder: Path) -> int:
    """Bytes on disk, a file with several names counted once, as `du` does."""
    found = {(stat.st_dev, stat.st_ino): stat.st_blocks * 512 for stat in map(os.lstat, folder.rglob("*"))}
    return sum(found.values())
