"""Each benchmark tells its options, and measures something small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnxruntime as ort
import pytest

from components.recognizer.device import CUDA
from tests.architecture.imports import modules
from tests.integration.clone import ROOT, Clone
from tests.integration.conftest import Registry

pytestmark = pytest.mark.nightly

COMMANDS = sorted(
    name
    for name, file in modules().items()
    if name.startswith("benchmarks.") and "__main__" in file.read_text(encoding="utf-8")
)

# One process for all of them: each would import PyTorch by itself.
HELP = """
import contextlib, io, runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        status = None
    except SystemExit as end:
        status = end.code
    print(name, status, printed.getvalue().startswith("usage: "))
"""

SMALL = {  # arguments, and what must be measured
    "ablations": (["--epochs", "1", "--only", "as it is"], "as it is"),
    "decoding": (["--pictures", "4"], "ExpRate"),
    "rasterize": (["--inks", "40", "--rounds", "1", "--workers", "1", "--memory", "40"], "MB at most"),
    "reading": (["--pictures", "40", "--beam", "2"], "a new process"),
    "training": (["--inks", "32", "--rounds", "1", "--workers", "0"], "training,"),
    "utilisation": (
        ["--preset", "ci", "--batch", "2", "--height", "32", "--width", "64", "--tokens", "8"],
        "TFLOP a step",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def clone(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("clone"), trained)


def test_every_benchmark_tells_its_options() -> None:
    assert {f"benchmarks.{name}" for name in SMALL} < set(COMMANDS)
    done = subprocess.run(
        [sys.executable, "-c", HELP, *COMMANDS], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name} 0 True" for name in COMMANDS]


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_measures_something_small(clone: Clone, name: str) -> None:
    arguments, measured = SMALL[name]
    assert measured in clone.run("python", "-m", f"benchmarks.{name}", *arguments)


def test_orchestration_is_compared(clone: Clone) -> None:
    clone.run("dvc", "repro")
    assert "stages, none changed" in clone.run("python", "-m", "benchmarks.orchestration", "--rounds", "1")


@pytest.mark.parametrize(
    ("name", "arguments", "measured"),
    [
        ("serving", ["--only", "load", "--requests", "50", "--pictures", "2", "--rounds", "1"], "found"),
        ("page", ["--inks", "2"], "ms"),
    ],
)
def test_a_service_is_measured(
    registry: Registry, model: str, name: str, arguments: list[str], measured: str
) -> None:
    where = {"serving": "--project", "page": "--shards"}[name]
    data = registry.folder if name == "serving" else registry.folder / "data/shards/test"
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments, where, str(data),
         "--model", f"handwritten-math-ocr:{model}"],
        cwd=ROOT, env=os.environ | registry.environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert measured in done.stdout, done.stderr


def test_reading_has_rows_for_a_gpu_or_says_in_a_line_that_there_is_none() -> None:
    code = (
        "from pathlib import Path; from benchmarks.reading import gpu_ways; "
        "print('rows:', len(gpu_ways(Path('models/default'), 5)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    if CUDA in ort.get_available_providers() and "rows: 3" in said:
        assert said == "rows: 3"
    else:
        assert said.startswith("(f) is left out: ONNX Runtime finds no GPU here")
        assert said.endswith("rows: 0")
