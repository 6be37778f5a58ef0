"""A project folder with a model too small to read anything: all that follows training can work on it."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path

import cv2
import numpy as np
import torch

from components.config import Params
from components.data.shards import Row, write_shard
from components.ink.raster import RasterSettings, draw
from components.latex.vocabulary import Vocabulary
from components.model.checkpoint import Checkpoint, save_model
from components.model.network import EncoderDecoder
from components.recognizer.calibration import Calibration
from components.stages import export
from tests.recognizer.inks import formula

METRICS = {"n": 12, "exprate": 0.5, "exprate_le1": 0.75, "exprate_le2": 0.9, "cer": 0.1, "ece": None}
TOKENS = ["x", "=", "\\frac", "{", "}", "1", "2"]


def tiny_model(params: Params, vocabulary: Vocabulary, seed: int) -> EncoderDecoder:
    """A model with random weights."""
    torch.manual_seed(seed)
    small = {
        "embed_dim": 16, "depths": (2,), "heads": (2,), "window": 4, "decoder_width": 16, "decoder_heads": 2,
        "decoder_layers": 2, "coverage": True, "bidirectional": True, "max_tokens": 12,
    }  # fmt: skip
    model = EncoderDecoder(params.model.model_copy(update=small), len(vocabulary)).eval()
    with torch.no_grad():  # a large difference between the best token and the others
        model.head.weight.mul_(8)
    return model


def write_evaluated(folder: Path, params: Params) -> None:
    """Writes what is there after `evaluate`: model, test split of 12 inks of several sizes, figures."""
    vocabulary = Vocabulary.build([TOKENS])
    (folder / "data/shards/test").mkdir(parents=True)
    (folder / "reports").mkdir()
    checkpoint = Checkpoint(tiny_model(params, vocabulary, 1), vocabulary, RasterSettings())
    save_model(checkpoint, folder / "data/model.pt")
    rows = [_row(number, checkpoint.raster) for number in range(12)]
    write_shard(rows, folder / "data/shards/test/part-00000.parquet")
    (folder / "reports/metrics.json").write_text(json.dumps(METRICS))
    (folder / "data/calibration.json").write_text(Calibration().model_dump_json())
    (folder / "reports/train.json").write_text(json.dumps({"mlflow_run": None}))


def write_exported(folder: Path, params: Params) -> None:
    """Writes what is there after `export`."""
    write_evaluated(folder, params)
    with chdir(folder):
        export.export(params)


def _row(number: int, raster: RasterSettings) -> Row:
    strokes = tuple(stroke * np.float32([1 + number % 3, 1]) for stroke in formula()[: 2 + number % 6])
    picture = draw(strokes, raster)
    png = cv2.imencode(".png", picture)[1].tobytes()
    height, width = picture.shape
    return Row(f"ink{number}", None, strokes, (), png, width, height, "x", ("x",), "", "")
