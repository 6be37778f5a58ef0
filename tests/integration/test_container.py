"""The image for real: built from a Bento by Docker Engine, run as deployments run it, and asked.

It brings what it needs where it can: the engine from Debian's packages, and a base image that debootstrap
makes, so that no image registry is needed. The engine is its own, in its own folder, and goes at the end.
`make test-all` runs this; `make test` installs no engine.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from components.deployment.service_process import free_port

ROOT = Path(__file__).parents[2]
NEEDED = {
    "docker.io": "/usr/sbin/dockerd",
    "debootstrap": "/usr/sbin/debootstrap",
}  # packages, what they bring
PACKAGES = "python3,python3-venv,ca-certificates"  # of the base image
LARGEST = 800_000_000  # bytes
MEMORY = 8 << 30  # bytes that must be free for images and containers to be kept there

pytestmark = pytest.mark.nightly


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


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Docker Engine, running. Skips where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run Docker Engine")
    if not Path("/etc/os-release").exists() or platform.freedesktop_os_release().get("VERSION_ID") != "12":
        pytest.skip("needs Debian 12, for its packages of Docker Engine and debootstrap")
    install()
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))  # a socket's path must be short
    if psutil.virtual_memory().available > MEMORY:
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
                pytest.skip(f"Docker Engine does not run here: {last_line((folder / 'log').read_text())}")
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


def install() -> None:
    """Debian's packages that are missing. Skips where they can't be had."""
    missing = [package for package, file in NEEDED.items() if not Path(file).exists()]
    if not missing:
        return
    for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=60", *command],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"can't install {' and '.join(missing)}: {last_line(done.stderr or done.stdout)}")


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]


@pytest.fixture(scope="module")
def debootstrap(engine: Engine) -> Iterator[Debootstrap]:
    """Debian with Python, on its way: it takes a minute, most of it waiting."""
    started = Debootstrap(engine.folder / "base")
    yield started
    with suppress(ProcessLookupError):
        os.killpg(started.process.pid, signal.SIGKILL)
    started.process.wait()


class Debootstrap:
    """A Debian that is being put into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder.with_suffix(".log")
        self.process = subprocess.Popen(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", self.folder,
             *mirror()],
            stdout=self.log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def image(self, engine: Engine) -> str:
        """What it has become, as an image. Skips where packages could not be had."""
        if self.process.wait(300):
            pytest.skip(f"debootstrap makes no base image here: {last_line(self.log.read_text())}")
        for cache in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(self.folder / cache, ignore_errors=True)
        with subprocess.Popen(["tar", "-c", "-C", self.folder, "."], stdout=subprocess.PIPE) as tar:
            subprocess.run(
                ["docker", "import", "-", "base:test"],
                stdin=tar.stdout, env=engine.environment, check=True, capture_output=True, timeout=120,
            )  # fmt: skip
        return "base:test"


def mirror() -> list[str]:
    """Where this machine gets its own packages, if apt says so."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm",
         "Component: main"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.split()[:1]


@pytest.fixture(scope="module")
def bento(
    request: pytest.FixtureRequest,
    engine: Engine,
    debootstrap: Debootstrap,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """A Bento of a registered model too small to read anything: the environment that it is found in."""
    folder = tmp_path_factory.mktemp("bento")
    # Not asked for as an argument: it would be made, which takes a while, before the engine has said no.
    shutil.copytree(request.getfixturevalue("exported"), folder / "project")
    for name in ("params.yaml", "presets"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / "project" / name)
    environment = engine.environment | {
        "BENTOML_HOME": str(folder / "bentoml"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    (folder / "bentoml").mkdir()
    for module, where in (("components.stages.register", folder / "project"), ("flows", ROOT)):
        arguments = ["build"] if module == "flows" else []
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=where, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return environment | {"BENTO": done.stdout.split()[-1]}


@pytest.fixture(scope="module")
def image(
    engine: Engine, debootstrap: Debootstrap, bento: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The image, as build.sh builds it."""
    options = {"BASE": debootstrap.image(engine), "NETWORK": "host"}
    done = subprocess.run(
        [ROOT / "deploy" / "container" / "build.sh", bento["BENTO"]],
        env=bento | options | of_pip(tmp_path_factory.mktemp("pip")),
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip()


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


@dataclass(frozen=True)
class Served:
    """A container of the image."""

    engine: Engine
    name: str
    port: int
    seconds: float  # until it was ready

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def shell(self, command: str) -> str:
        return self.engine.docker("exec", self.name, "sh", "-c", command, check=False)


def serve(engine: Engine, image: str) -> Served:
    """Runs the image with all rights taken away, and waits until it is ready."""
    port = free_port()
    start = time.monotonic()
    name = engine.docker(
        "run", "--detach", "--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--env", "AUTH=off", "--env", f"PORT={port}", image,
    )  # fmt: skip
    until = start + 90
    while time.monotonic() < until and engine.docker("inspect", "-f", "{{.State.Running}}", name) == "true":
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200:
                return Served(engine, name, port, time.monotonic() - start)
        time.sleep(0.2)
    pytest.fail(f"the container does not get ready: {engine.docker('logs', name)[-4000:]}")


@pytest.fixture(scope="module")
def served(engine: Engine, image: str) -> Served:
    return serve(engine, image)


def test_it_reads_a_picture_and_ink(served: Served) -> None:
    for path, file, kind in (
        ("/predict", "sample.png", "image/png"),
        ("/predict/strokes", "sample.inkml", "application/inkml+xml"),
    ):
        answer = httpx.post(
            served.address + path,
            content=(ROOT / "docs" / file).read_bytes(), headers={"content-type": kind}, timeout=30,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        read = answer.json()
        assert isinstance(read["formula"], str) and 0 <= read["confidence"] <= 1 and read["timestamp"]
    health = httpx.get(f"{served.address}/health", timeout=30)
    assert health.status_code == 200 and health.json()["model"] == "ok"
    assert 'ocr_requests_total{method="POST"' in httpx.get(f"{served.address}/metrics", timeout=30).text


def test_it_listens_to_the_world_on_the_port_that_it_is_given(served: Served) -> None:
    listening = [c.laddr for c in psutil.net_connections("tcp4") if c.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening if address.port == served.port] == ["0.0.0.0"]


def test_it_is_not_root_and_writes_nothing_but_to_tmp(served: Served) -> None:
    assert served.shell("id -u") == "1034"
    assert served.engine.docker("inspect", "-f", "{{.Config.User}}", served.name) == "1034:1034"
    processes = served.engine.docker("top", served.name, "-eo", "pid,uid").split()[3::2]
    assert len(processes) >= 3 and set(processes) == {"1034"}
    for folder in ("/", "/app", "/home/bentoml", "/home/bentoml/bento", "/keys"):
        assert "Read-only file system" in served.shell(f"touch {folder}/x")
    assert served.engine.docker("diff", served.name) == ""


def test_what_belongs_to_the_service_is_not_its_own_to_change(served: Served) -> None:
    """Even where the file system is not read-only, as on Cloud Run."""
    assert served.shell("find /app /home/bentoml -user 1034 -o -perm -o=w ! -type l | head") == ""


def test_the_image_is_small_and_nothing_of_the_build_stays(served: Served, image: str) -> None:
    size = int(served.engine.docker("image", "inspect", "-f", "{{.Size}}", image))
    print(f"image: {size / 1e6:.0f} MB; ready after {served.seconds:.1f} s")
    assert size < LARGEST
    left = "/etc/pip.conf /run/secrets /root/.cache /app/.venv/bin/pip /usr/bin/gcc"
    assert served.shell(f"ls -d {left} 2>/dev/null") == ""
    assert "No module named" in served.shell("python -c 'import torch'")
    history = json.dumps(served.engine.docker("history", "--no-trunc", image))
    assert "pip.conf" not in history, "the build's commands are in a stage that is left behind"


def test_stopped_it_ends_in_time(engine: Engine, image: str) -> None:
    served = serve(engine, image)
    start = time.monotonic()
    engine.docker("stop", "--time", "30", served.name)
    assert time.monotonic() - start < 9, "Cloud Run gives ten seconds"
    assert engine.docker("inspect", "-f", "{{.State.ExitCode}}", served.name) == "0"
