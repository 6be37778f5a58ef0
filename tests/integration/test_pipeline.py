"""The whole pipeline for real, in a copy of the repository: `dvc repro`, as a user runs it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from components.data.shards import SPLITS
from tests.integration.clone import LOGGED, ROOT, STAGES, Clone, stages_in

REAL = ROOT.parent / "shared" / "data"


# In one process: each stage would import PyTorch by itself.
ALL_STAGES = """
import importlib, sys
for stage in sys.argv[1:]:
    sys.argv = [stage]
    importlib.import_module(f"components.stages.{stage}").main()
"""


@pytest.fixture(scope="module")
def clone(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("clone"), trained)
    assert clone.repro() == ["register"], "all else is as it was trained"
    return clone


def test_a_fresh_clone_becomes_a_registered_recognizer(clone: Clone) -> None:
    ran = stages_in((clone.folder / LOGGED).read_text(encoding="utf-8"))
    assert [*ran, "register"] == STAGES
    assert clone.read("reports/metrics.json")["n"] == 150
    registered = clone.read("reports/registered.json")
    assert registered["model"].endswith("@challenger") and registered["version"] == 1
    assert (clone.folder / "data/bundle/decoder.onnx").exists()
    picture = ROOT / "docs" / "sample.png"
    answer = json.loads(clone.run("python", "-m", "components", "predict", "--json", str(picture)))
    assert 0 <= answer["confidence"] <= 1


def test_run_again_it_does_nothing_and_says_so(clone: Clone) -> None:
    output = clone.run("dvc", "repro")
    assert "Data and pipelines are up to date." in output and "Running stage" not in output


def test_a_second_machine_pulls_the_results_and_runs_nothing(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "factory@example.org")
    first = Clone(tmp_path / "first", trained)
    first.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    first.run("git", "add", "--all")
    first.run("git", "commit", "--quiet", "--message", "Train")
    first.run("dvc", "push")
    second = tmp_path / "second"
    first.run("git", "clone", "--quiet", ".", str(second))
    first.run("dvc", "--cd", str(second), "pull", "--with-deps", "export")
    output = first.run("dvc", "--cd", str(second), "repro", "export")
    assert "Running stage" not in output
    assert json.loads((second / "reports/metrics.json").read_text())["n"] == 150


@pytest.mark.nightly  # test_trainer has the training, the next test a stage
def test_killed_in_the_middle_of_training_it_goes_on_and_what_follows_runs(clone: Clone) -> None:
    """As test_trainer shows, the curve is the same; here the whole stage dies and `dvc repro` mends it."""
    epochs = 4
    clone.change("presets/ci.yaml", lambda p: p | {"train": p["train"] | {"epochs": epochs, "lr": 0.001}})
    kept = clone.folder / "data" / "training"
    before = set(kept.glob("*"))  # what other parameters left
    process = clone.start("dvc", "repro", "train")

    def trained() -> int:
        histories = [path for path in kept.glob("*/history.csv") if path.parent not in before]
        return len(histories[0].read_text().splitlines()) - 1 if histories else 0

    deadline = time.monotonic() + 300
    while trained() < 2 or not list(kept.glob("*/last.ckpt")):
        assert process.poll() is None and time.monotonic() < deadline, "no epoch was kept in time"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    output = clone.run("dvc", "repro", "calibrate")
    lines = [line for line in output.splitlines() if line.startswith("epoch ")]
    assert 1 <= len(lines) < epochs, "it went on, and did not begin anew"
    assert clone.read("reports/train.json")["epochs"] == epochs
    assert stages_in(output) == ["train", "calibrate"]


def test_killed_in_a_stage_with_workers_the_result_is_the_same(clone: Clone) -> None:
    """`rasterize` stands for all stages: what they write with is tested in test_files."""
    before = digest(clone.folder / "data/shards")
    kill_while_it_works(clone, "rasterize")
    clone.repro("--single-item", "rasterize")
    assert digest(clone.folder / "data/shards") == before
    assert (clone.folder / "reports/rejected.csv").exists()


def kill_while_it_works(clone: Clone, stage: str) -> None:
    """Kills DVC and the stage in its middle; not DVC while it writes dvc.lock, which it does not do whole."""
    patience = 2.0  # seconds
    while True:
        process = clone.start("dvc", "repro", "--single-item", "--force", stage)
        while not (at_work := stage_process(process.pid, stage)):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        time.sleep(patience)
        os.killpg(process.pid, signal.SIGSTOP)  # so that it does not end between the look and the kill
        with_timeout = at_work.is_running() and at_work.status() != psutil.STATUS_ZOMBIE
        if with_timeout:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return
        os.killpg(process.pid, signal.SIGCONT)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        patience /= 2


def stage_process(dvc: int, stage: str) -> psutil.Process | None:
    """The Python process of a stage that `dvc` has started."""
    with suppress(psutil.Error):
        for process in psutil.Process(dvc).children(recursive=True):
            with suppress(psutil.Error):
                if process.cmdline()[-2:] == ["-m", f"components.stages.{stage}"]:
                    return process
    return None


def digest(folder: Path) -> str:
    """The hash of all names and contents in a folder."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return total.hexdigest()


@pytest.mark.parametrize(
    ("source", "archive"),
    [
        ("crohme", "crohme.tar.xz"),
        pytest.param("mathwriting-excerpt", "mathwriting-2024-excerpt.tgz", marks=pytest.mark.nightly),
    ],
)
def test_real_handwriting_goes_through_every_stage(source: str, archive: str, tmp_path: Path) -> None:
    if not (REAL / archive).exists():
        pytest.skip(f"needs the archive {archive} in ../shared/data")
    clone = Clone(tmp_path)
    overlay = yaml.safe_load((ROOT / "presets" / "ci.yaml").read_text())
    real = yaml.safe_load((ROOT / "presets" / f"{source}.yaml").read_text())
    overlay |= {"raster": real["raster"], "validate": real["validate"] | {"max_unseen": 0.5}}
    overlay["data"] = {"source": source, "limit": 40, "max_rejected": 0.1,
                       source: {"archive": str(REAL / archive)}}  # fmt: skip
    overlay["model"] |= {"max_tokens": 160}
    overlay["train"] |= {"epochs": 1}
    (clone.folder / "presets" / "ci.yaml").write_text(yaml.safe_dump(overlay))
    clone.run("python", "-c", ALL_STAGES, *STAGES)
    counts = clone.read("reports/rasterize.json")
    assert all(counts[split]["used"] >= 0.9 * 40 for split in SPLITS)
    assert clone.read("reports/metrics.json")["n"] == counts["test"]["used"]
