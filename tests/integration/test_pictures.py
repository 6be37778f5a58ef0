"""Photographs with labels, and no ink, go through the whole pipeline to a bundle that reads them."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from handwritten_math import Recognizer
from tests.pictures import write_folder

ROOT = Path(__file__).parents[2]
STAGES = (
    "download", "rasterize", "validate", "symbols", "formulas", "synthesize", "vocab", "train", "calibrate",
    "evaluate", "export",
)  # fmt: skip

pytestmark = pytest.mark.slow


def test_a_folder_of_photographs_becomes_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "data/pictures", 120, writers=24)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    preset = tmp_path / "presets/ci.yaml"
    content = yaml.safe_load(preset.read_text(encoding="utf-8"))
    content["data"] |= {"source": "pictures", "corrections": None, "pictures": {"valid": 0.15, "test": 0.15}}
    preset.write_text(yaml.safe_dump(content))
    params = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("preset: demo", "preset: ci", 1)
    (tmp_path / "params.yaml").write_text(params)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("sys.argv", ["stage"])
    for stage in STAGES:
        import_module(f"components.stages.{stage}").main()
    train = pq.read_table(tmp_path / "data/shards/train")
    assert len(train) > 70 and not any(train["strokes"].to_pylist())
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert metrics["n"] >= 10
    picture = next((tmp_path / "data/pictures/img").iterdir())
    assert 0 <= Recognizer.load(tmp_path / "data/bundle").read(picture).confidence <= 1
