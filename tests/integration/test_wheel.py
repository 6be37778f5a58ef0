"""The wheel in an empty environment, in another folder: it reads without PyTorch and without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = ROOT / ".uv/bin/uv"
API = r"""
import sys
from handwritten_math import Recognizer
assert not {"torch", "mlflow", "dvc", "pyarrow"} & sys.modules.keys()
recognizer = Recognizer.load()
prediction = recognizer.read("sample.png", n_best=2, explain=True)
assert prediction.mathml.startswith("<math") and prediction.token_boxes and prediction.alternatives
print(prediction.latex)
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not UV.exists(), reason="needs uv: make env")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with samples and an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("components", "flows", "handwritten_math", "models"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "service.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for command in (
        [UV, "build", "--quiet", "--wheel", "--out-dir", folder / "dist", source],
        [UV, "venv", "--quiet", "--python", "3.11", folder / "env"],
    ):
        subprocess.run(list(map(str, command)), check=True)
    [wheel] = (folder / "dist").glob("*.whl")
    install = [UV, "pip", "install", "--quiet", "--python", folder / "env/bin/python", wheel]
    # As locked, so that a test does not depend on what appeared today.
    constraints = folder / "constraints.txt"
    lines = (ROOT / "requirements-serve.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.split(" ")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))]
    constraints.write_text("\n".join(pins) + "\n")
    subprocess.run(list(map(str, [*install, "--constraint", constraints])), check=True)
    shutil.rmtree(source)
    for name in ("sample.png", "sample.inkml"):
        shutil.copy(ROOT / "docs" / name, folder / name)
    return folder


def run(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [folder / "env/bin" / arguments[0], *arguments[1:]]
    return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False)


def test_the_command_reads_a_picture_an_ink_and_standard_input(installed: Path) -> None:
    files = run(installed, "handwritten-math", "predict", "sample.png", "sample.inkml")
    assert files.returncode == 0, files.stderr
    piped = run(installed, "handwritten-math", "predict", "-", stdin=(installed / "sample.png").read_bytes())
    assert piped.returncode == 0, piped.stderr
    first, _, ink = files.stdout.decode().partition("sample.inkml")
    assert first.splitlines()[1] == piped.stdout.decode().splitlines()[1] and r"\frac" in ink


def test_the_api_reads_without_training_packages(installed: Path) -> None:
    done = run(installed, "python", "-c", API)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_what_is_not_installed_is_said_in_a_line(installed: Path) -> None:
    done = run(installed, "handwritten-math", "serve")
    assert done.returncode == 1 and b"serve" in done.stderr and b"Traceback" not in done.stderr
    assert run(installed, "handwritten-math", "doctor").returncode == 0
    assert run(installed, "handwritten-math", "--version").stdout.startswith(b"handwritten-math 0.")
