"""The stage `calibrate` writes what evaluation and export read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from components.config import Params
from components.data.datasets import LabelledShards
from components.recognizer.calibration import Calibration, Confidence
from components.stages import calibrate as stage


def project_with_splits(project: Path, folder: Path) -> None:
    shutil.copytree(project / "data", folder / "data")
    for split in ("train", "valid"):
        shutil.copytree(folder / "data/shards/test", folder / "data/shards" / split, dirs_exist_ok=True)


def test_the_validation_split_gives_a_calibration_for_each_way_to_search(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_with_splits(project, tmp_path)
    monkeypatch.chdir(tmp_path)
    found = stage.calibrate(params)
    assert Calibration.model_validate_json(Path("data/calibration.json").read_bytes()) == found
    assert found.greedy != Confidence() and found.beam != Confidence()
    report = json.loads(Path("reports/calibration.json").read_text())
    # The model reads nothing right: it learns that its answers are worth little.
    assert report["greedy_exprate"] == 0 and report["greedy_ece"] < 0.2
    assert "effective_inks" not in report


def test_for_train_s_formulas_the_inks_are_weighted(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_with_splits(project, tmp_path)
    monkeypatch.chdir(tmp_path)
    for_train = params.evaluate.model_copy(update={"calibrate_for": "train"})
    stage.calibrate(params.model_copy(update={"evaluate": for_train}))
    report = json.loads(Path("reports/calibration.json").read_text())
    count = sum(1 for _ in LabelledShards(Path("data/shards/valid")))
    assert report["effective_inks"] == pytest.approx(count, rel=0.02), "train has the same formulas here"
    assert report["greedy_exprate_as_train"] == report["beam_exprate_as_train"] == 0
