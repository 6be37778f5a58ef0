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

from tests.integration.clone import ROOT, STAGES, Clone

REAL = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("clone"))
    assert clone.repro() == STAGES
    return clone


def test_a_fresh_clone_becomes_a_registered_recognizer(clone: Clone) -> None:
    assert clone.read("reports/metrics.json")["n"] == 40
    registered = clone.read("reports/registered.json")
    assert registered["model"].endswith("@challenger") and registered["version"] == 1
    assert (clone.folder / "data/bundle/decoder.onnx").exists()
    picture = ROOT / "docs" / "sample.png"
    answer = json.loads(clone.run("python", "-m", "components", "predict", "--json", str(picture)))
    assert 0 <= answer["confidence"] <= 1


def test_run_again_it_does_nothing_and_says_so(clone: Clone) -> None:
    output = clone.run("dvc", "repro")
    assert "Data and pipelines are up to date." in output and "Running stage" not in output


def test_a_training_parameter_runs_train_and_what_follows(clone: Clone) -> None:
    clone.change("presets/ci.yaml", lambda p: p | {"train": p["train"] | {"lr": 0.003, "epochs": 3}})
    ran = clone.repro()
    assert ran[0] == "train" and set(ran) <= {"train", "evaluate", "export", "register"}
    assert clone.read("reports/train.json")["epochs"] == 3


def test_killed_in_the_middle_of_training_it_goes_on(clone: Clone) -> None:
    """As test_fit shows, the curve is the same; here the whole stage dies and `dvc repro` mends it."""
    clone.change("presets/ci.yaml", lambda p: p | {"train": p["train"] | {"epochs": 12, "lr": 0.001}})
    kept = clone.folder / "data" / "training"
    before = set(kept.glob("*"))  # what other parameters left
    process = clone.start("dvc", "repro", "train")

    def epochs() -> int:
        histories = [path for path in kept.glob("*/history.csv") if path.parent not in before]
        return len(histories[0].read_text().splitlines()) - 1 if histories else 0

    deadline = time.monotonic() + 300
    while epochs() < 3 or not list(kept.glob("*/last.ckpt")):
        assert process.poll() is None and time.monotonic() < deadline, "no epoch was kept in time"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    output = clone.run("dvc", "repro", "train")
    lines = [line for line in output.splitlines() if line.startswith("epoch ")]
    assert 1 <= len(lines) < 12, "it went on, and did not begin anew"
    assert clone.read("reports/train.json")["epochs"] == 12


@pytest.mark.parametrize(
    "stage", ["download", "rasterize", "validate", "vocab", "evaluate", "export", "register"]
)
def test_killed_in_any_other_stage_the_result_is_the_same(clone: Clone, stage: str) -> None:
    outputs = yaml.safe_load((clone.folder / "dvc.yaml").read_text())["stages"][stage]["outs"]
    paths = [clone.folder / (out if isinstance(out, str) else next(iter(out))) for out in outputs]
    before = digest(paths)
    kill_while_it_works(clone, stage)
    clone.repro("--single-item", stage)
    if stage not in ("export", "register", "evaluate"):  # these write times, or numbers of versions
        assert digest(paths) == before
    assert all(path.exists() for path in paths)


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


def digest(paths: list[Path]) -> str:
    files = sorted(
        f for path in paths for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file()
    )

    total = hashlib.sha256()
    for file in files:
        if "data_docs" not in file.parts:  # Great Expectations writes the time of the run into its pages
            total.update(file.name.encode() + file.read_bytes())
    return total.hexdigest()


@pytest.mark.parametrize(
    ("source", "archive", "sizes"),
    [
        ("crohme", "crohme.tar.xz", {"train": 80, "valid": 40, "test": 40}),
        ("mathwriting-excerpt", "mathwriting-2024-excerpt.tgz", {"train": 80, "valid": 40, "test": 40}),
    ],
)
def test_real_handwriting_goes_through_every_stage(
    source: str, archive: str, sizes: dict[str, int], tmp_path: Path
) -> None:
    if not (REAL / archive).exists():
        pytest.skip(f"needs the archive {archive} in ../shared/data")
    clone = Clone(tmp_path)
    overlay = yaml.safe_load((ROOT / "presets" / "ci.yaml").read_text())
    real = yaml.safe_load((ROOT / "presets" / f"{source}.yaml").read_text())
    overlay |= {"raster": real["raster"], "validate": real["validate"] | {"max_unseen": 0.5}}
    overlay["data"] = {"source": source, "limit": 80, "max_rejected": 0.1,
                       source: {"archive": str(REAL / archive)}}  # fmt: skip
    overlay["model"] |= {"max_tokens": 160}
    overlay["train"] |= {"epochs": 1}
    (clone.folder / "presets" / "ci.yaml").write_text(yaml.safe_dump(overlay))
    assert clone.repro() == STAGES
    counts = clone.read("reports/rasterize.json")
    assert all(counts[split]["used"] >= 0.9 * 80 for split in sizes)
    assert clone.read("reports/metrics.json")["n"] == counts["test"]["used"]
