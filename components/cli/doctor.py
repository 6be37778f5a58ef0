"""`python -m components doctor`: check this machine, and say what to do."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from components.cli.base import Commands
from components.recognizer.bundle import BundleError, bundled_model, load_bundle

_DISK, _MEMORY = 10, 6  # gigabytes that the training environment and a training take
_LOCKS = {".venv": "requirements.lock", ".venv-serve": "requirements-serve.lock"}
_PINNED = re.compile(r"^([\w.-]+)(?:\[.*\])?==([^ \\;]+)", re.MULTILINE)
_PORTS = {3000: "the service", 4200: "Prefect's server", 5000: "an MLflow server"}

_EXAMPLES = """examples:
  python -m components doctor"""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Literal["ok", "warning", "error"]
    text: str


def add(commands: Commands) -> None:
    command = commands.add_parser(
        "doctor",
        help="check this machine, and say what to do",
        description="Checks Python, disk, memory, packages, the bundled model, DVC, the registry, the GPU "
        "and ports. Exits with 1 if something is broken.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Print the findings; returns 1 if one is an error."""
    findings = [finding for check in CHECKS for finding in check()]
    for finding in findings:
        print(f"{finding.level:8}{finding.text}")
    return int(any(finding.level == "error" for finding in findings))


def python() -> Iterable[Finding]:
    """The interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 14):
        yield Finding("ok", f"Python {found}")
    else:
        yield Finding("error", f"Python {found}: 3.11 to 3.14 is needed")


def space() -> Iterable[Finding]:
    """Disk and memory."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    level: Literal["ok", "warning"] = "ok" if free >= _DISK else "warning"
    yield Finding(
        level, f"{free:.0f} GB of disk are free" + (f"; training takes {_DISK}" if level != "ok" else "")
    )
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
        level = "ok" if memory >= _MEMORY else "warning"
        text = f"{memory:.0f} GB of memory, {os.cpu_count()} cores"
        yield Finding(level, text + (f"; training takes {_MEMORY} to 14 GB" if level != "ok" else ""))


def packages() -> Iterable[Finding]:
    """What is installed, against the lock of this environment."""
    lock = Path(_LOCKS.get(Path(sys.prefix).name, ""))
    if lock.name and lock.is_file():
        pinned = dict(_PINNED.findall(lock.read_text(encoding="utf-8")))
        other = [f"{name} {found} (locked: {wanted})" for name, wanted in pinned.items()
                 if (found := _version(name)) not in (wanted, None)]  # fmt: skip
        missing = [name for name in pinned if _version(name) is None]
        if other or missing:
            what = ", ".join([*other, *(f"{name} is missing" for name in missing)][:5])
            yield Finding("error", f"packages differ from {lock}: {what}; run ./setup.sh again")
        else:
            yield Finding("ok", f"{len(pinned)} packages are as {lock} has them")
    for extra, module in (("serve", "bentoml"), ("train", "torch")):
        if find_spec(module) is None:
            yield Finding("ok", f"the extra `{extra}` is not installed here ({module})")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def model() -> Iterable[Finding]:
    """The bundled model."""
    try:
        bundle = load_bundle(bundled_model())
    except (BundleError, OSError) as error:
        yield Finding("error", f"the bundled model: {error}")
    else:
        yield Finding("ok", f"the bundled model is {bundle.version}, {len(bundle.vocabulary)} tokens")


def dvc() -> Iterable[Finding]:
    """DVC's cache and remote, in a checkout."""
    if not Path("dvc.yaml").is_file():
        return
    if find_spec("dvc") is None:
        yield Finding("warning", "DVC is not in this environment: `make env`, then . .venv/bin/activate")
        return
    cache = Path(".dvc/cache")
    text = f"DVC's cache has {_size(cache):.1f} GB" if cache.is_dir() else "DVC's cache is empty"
    yield Finding("ok", text + "; `dvc gc --workspace` removes what no stage uses")


def _size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def registry() -> Iterable[Finding]:
    """MLflow's registry: reached, and whether it has a champion."""
    if find_spec("mlflow") is None:
        return
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address is None and not Path("mlflow.db").exists():
        yield Finding("ok", "no registry yet: `dvc repro` makes one, mlflow.db")
        return
    if address and address.startswith("http") and not _reached(address):
        yield Finding(
            "error", f"MLFLOW_TRACKING_URI={address} does not answer: start it, or unset the variable"
        )
        return
    from components.registry.model_versions import CHAMPION, Registry, RegistryError

    try:
        found = Registry("handwritten-math-ocr").find(CHAMPION)
    except RegistryError as error:
        yield Finding("error", f"the registry: {error}")
        return
    text = (
        "no champion yet: `python -m flows promote`"
        if found is None
        else f"version {found.version} is champion"
    )
    yield Finding("ok", f"the registry ({address or 'mlflow.db'}): {text}")


def _reached(address: str) -> bool:
    host, _, port = address.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")
    try:
        with socket.create_connection((host, int(port or (443 if address.startswith("https") else 80))), 2):
            return True
    except OSError:
        return False


def gpu() -> Iterable[Finding]:
    """Whether PyTorch and ONNX Runtime have a GPU."""
    if find_spec("torch"):
        import torch

        name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
        yield Finding("ok", f"PyTorch trains on {name or 'the CPU: there is no GPU'}")


def ports() -> Iterable[Finding]:
    """Ports that servers of this project want."""
    for port, who in _PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                yield Finding(
                    "warning", f"port {port} is taken, which {who} listens on: choose another with --port"
                )
            else:
                yield Finding("ok", f"port {port} is free for {who}")


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    python, space, packages, model, dvc, registry, gpu, ports,
)  # fmt: skip
