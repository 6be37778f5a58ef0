"""Docker Engine for tests: its own engine, in its own folder, and a base image without an image registry.

It brings what it needs where it can: the engine from Debian's packages, and a base image that debootstrap
makes. Tests are skipped where there can be none.
"""

from __future__ import annotations

import ast
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

_NEEDED = {"docker.io": "/usr/sbin/dockerd", "debootstrap": "/usr/sbin/debootstrap"}  # what packages bring
_MEMORY = 8 << 30  # bytes that must be free for images and containers to be kept there


@dataclass(frozen=True)
class Engine:
    """A Docker Engine, the environment that makes commands use it, and a folder that goes with it."""

    folder: Path
    environment: dict[str, str]

    def docker(self, *arguments: str, check: bool = True, timeout: float = 60) -> str:
        done = subprocess.run(
            ["docker", *arguments],
            env=self.environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return (done.stdout + done.stderr).strip()


@contextmanager
def docker_engine(*, in_memory: bool) -> Iterator[Engine]:
    """Docker Engine, running, with its images in memory if there is enough."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run Docker Engine")
    if not Path("/etc/os-release").exists() or platform.freedesktop_os_release().get("VERSION_ID") != "12":
        pytest.skip("needs Debian 12, for its packages of Docker Engine and debootstrap")
    _install()
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))  # a socket's path must be short
    if in_memory and psutil.virtual_memory().available > _MEMORY:
        # Thousands of small files that nobody keeps: on a disk, removing them alone takes a minute.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "engine", folder], check=False)
    address = f"unix://{folder}/socket"
    # Containers use the machine's network: there may be no right to make another.
    process = subprocess.Popen(
        ["dockerd", "--data-root", folder / "data", "--exec-root", folder / "run", "--pidfile",
         folder / "pid", "--host", address, "--bridge", "none", "--iptables=false"],
        stdout=(folder / "log").open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    # Debian's docker first: it has BuildKit built in.
    path = f"/usr/bin:/usr/sbin:{Path(sys.executable).parent}:{os.environ['PATH']}"
    engine = Engine(folder, os.environ | {"DOCKER_HOST": address, "PATH": path})
    try:
        until = time.monotonic() + 60
        while "Server Version" not in engine.docker("info", check=False):
            if process.poll() is not None or time.monotonic() > until:
                pytest.skip(f"Docker Engine does not run here: {_last_line((folder / 'log').read_text())}")
            time.sleep(0.5)
        yield engine
        for container in engine.docker("ps", "--all", "--quiet").split():
            engine.docker("rm", "--force", container, check=False)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        for mount in reversed(Path("/proc/mounts").read_text().splitlines()):
            if (where := mount.split()[1]) == str(folder) or where.startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", where], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _install() -> None:
    """Debian's packages that are missing. Skips where they can't be had."""
    missing = [package for package, file in _NEEDED.items() if not Path(file).exists()]
    if not missing:
        return
    for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=60", *command],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"can't install {' and '.join(missing)}: {_last_line(done.stderr or done.stdout)}")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]


@contextmanager
def debootstrap(engine: Engine, packages: Sequence[str]) -> Iterator[Debootstrap]:
    """A minimal Debian with these packages, on its way: it takes a minute, most of it waiting."""
    started = Debootstrap(engine.folder / "base", packages)
    yield started
    with suppress(ProcessLookupError):
        os.killpg(started.process.pid, signal.SIGKILL)
    started.process.wait()


class Debootstrap:
    """A Debian that is being put into a folder."""

    def __init__(self, folder: Path, packages: Sequence[str]) -> None:
        self.folder, self.log = folder, folder.with_suffix(".log")
        self.process = subprocess.Popen(
            ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", "bookworm", self.folder,
             *_mirror()],
            stdout=self.log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def image(self, engine: Engine) -> str:
        """What it has become, as an image. Skips where packages could not be had."""
        if self.process.wait(300):
            pytest.skip(f"debootstrap makes no base image here: {_last_line(self.log.read_text())}")
        for cache in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(self.folder / cache, ignore_errors=True)
        with subprocess.Popen(["tar", "-c", "-C", self.folder, "."], stdout=subprocess.PIPE) as tar:
            subprocess.run(
                ["docker", "import", "-", "base:test"],
                stdin=tar.stdout, env=engine.environment, check=True, capture_output=True, timeout=120,
            )  # fmt: skip
        return "base:test"


def _mirror() -> list[str]:
    """Where this machine gets its own packages, if apt says so."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm",
         "Component: main"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.split()[:1]


def of_pip(folder: Path) -> dict[str, str]:
    """How this machine's pip reaches its registry, as build.sh takes it: the build has no other way."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    settings = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = ast.literal_eval(value)
    options = {}
    if (certificates := settings.pop("cert", None)) and Path(certificates).exists():
        options["CA_CERT"] = certificates
        settings["cert"] = "/run/secrets/ca.crt"
    taken = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "cert")
    lines = [f"{name} = {settings[name]}\n" for name in taken if name in settings]
    (folder / "pip.conf").write_text("[global]\n" + "".join(lines))
    return options | {"PIP_CONF": str(folder / "pip.conf")}
