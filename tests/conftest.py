"""A project folder with a model too small to read anything: what comes after training can work on it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings

from components.config import Params, load_params
from components.data.shards import Row, write_shard
from components.ink.raster import RasterSettings, draw
from components.latex.vocabulary import Vocabulary
from components.model.checkpoint import Checkpoint, save_model
from components.model.network import Recogniser
from components.recognizer.calibration import Calibration
from components.stages import export
from tests.recognizer.inks import formula

# The same examples at each run: what breaks a test is a change. HYPOTHESIS_PROFILE=default tries others.
settings.register_profile("steady", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

METRICS = {"n": 12, "exprate": 0.5, "exprate_le1": 0.75, "exprate_le2": 0.9, "cer": 0.1, "ece": None}
TOKENS = ["x", "=", "\\frac", "{", "}", "1", "2"]


def tiny_model(params: Params, vocabulary: Vocabulary, seed: int) -> Recogniser:
    torch.manual_seed(seed)
    small = {
        "embed_dim": 16,
        "depths": (2,),
        "heads": (2,),
        "window": 4,
        "decoder_width": 16,
        "decoder_heads": 2,
        "coverage": True,
        "both_ways": True,
    }
    tiny = params.model.model_copy(update={**small, "decoder_layers": 2, "max_tokens": 12})
    model = Recogniser(tiny, len(vocabulary)).eval()
    with torch.no_grad():  # sure of itself: no token is as good as another
        model.head.weight.mul_(8)
    return model


@pytest.fixture(scope="session")
def params() -> Params:
    return load_params(Path(__file__).parents[1] / "params.yaml")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """A folder after `evaluate`: model, test split of 12 inks of several sizes, figures."""
    folder = tmp_path_factory.mktemp("project")
    vocabulary = Vocabulary.build([TOKENS])
    (folder / "data/shards/test").mkdir(parents=True)
    (folder / "reports").mkdir()
    checkpoint = Checkpoint(tiny_model(params, vocabulary, 1), vocabulary, RasterSettings())
    save_model(checkpoint, folder / "data/model.pt")
    rows = []
    for number in range(12):
        strokes = tuple(stroke * np.float32([1 + number % 3, 1]) for stroke in formula()[: 2 + number % 6])
        picture = draw(strokes, checkpoint.raster)
        png = cv2.imencode(".png", picture)[1].tobytes()
        rows.append(
            Row(
                f"ink{number}",
                None,
                strokes,
                (),
                png,
                picture.shape[1],
                picture.shape[0],
                "x",
                ("x",),
                "",
                "",
            )
        )
    write_shard(rows, folder / "data/shards/test/part-00000.parquet")
    (folder / "reports/metrics.json").write_text(json.dumps(METRICS))
    (folder / "data/calibration.json").write_text(Calibration().model_dump_json())
    (folder / "reports/train.json").write_text(json.dumps({"mlflow_run": None}))
    return folder


@pytest.fixture(scope="session")
def exported(project: Path, params: Params) -> Path:
    """The same folder after `export`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        (project / "data/.bundle.part").mkdir()  # a killed run left it
        (project / "data/.bundle.part/encoder.onnx").write_bytes(b"half")
        export.export(params)
    return project
