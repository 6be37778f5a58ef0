"""The stage `calibrate` writes what evaluation and export read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from components.params import Params
from components.recognizer.calibration import Calibration, Confidence
from components.stages import calibrate as stage


def test_the_validation_split_gives_a_calibration_for_each_way_to_search(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project / "data", tmp_path / "data")
    shutil.copytree(tmp_path / "data/shards/test", tmp_path / "data/shards/valid")
    monkeypatch.chdir(tmp_path)
    found = stage.calibrate(params)
    assert Calibration.model_validate_json(Path("data/calibration.json").read_bytes()) == found
    assert found.greedy != Confidence() and found.beam != Confidence()
    report = json.loads(Path("reports/calibration.json").read_text())
    # The model reads nothing right: it learns that its answers are worth little.
    assert report["greedy_exprate"] == 0 and report["greedy_ece"] < 0.2
