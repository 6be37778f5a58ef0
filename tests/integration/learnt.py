"""A small model overfitted to three formulas: trained in seconds, and right about them in any handwriting."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from components.augmentation.strokes import AugmentConfig, distort
from components.config import Params
from components.data.shards import Row, write_shard
from components.ink.ink import Stroke
from components.ink.raster import RasterSettings, draw, draw_placed
from components.latex.vocabulary import BOS, EOS, Vocabulary
from components.model.checkpoint import Checkpoint, save_model
from components.model.lightning_module import attention_supervision_loss
from components.model.network import EncoderDecoder
from components.recognizer.calibration import Calibration
from components.recognizer.tensors import to_input
from components.stages import export
from components.synthesis.symbol_bank import box_of
from tests.recognizer.inks import formula

KNOWN: dict[str, tuple[Stroke, ...]] = {
    "x": formula()[:2],
    "x=": formula()[:4],
    r"x=\frac{1}{2}": formula(),
}
TOKENS = {"x": ["x"], "x=": ["x", "="], r"x=\frac{1}{2}": ["x", "=", r"\frac", "{", "1", "}", "{", "2", "}"]}

# The strokes of each token, in all three formulas.
WRITTEN = {0: slice(0, 2), 1: slice(2, 4), 2: slice(5, 6), 4: slice(4, 5), 7: slice(6, 7)}

_HAND = AugmentConfig(
    scale=(0.9, 1.1),
    rotate=4,
    shear=0.08,
    wobble=0.03,
    pen=(0.06, 0.12),
    drop=0,
    swap_symbols=0,
    substitute_symbols=0,
    noise=0,
)
_HANDS = 8


def learnt_project(folder: Path, params: Params) -> Path:
    """Make a project folder as after `export`, with a test split of the known inks."""
    (folder / "data/shards/test").mkdir(parents=True)
    (folder / "reports").mkdir()
    checkpoint = learnt(params)
    save_model(checkpoint, folder / "data/model.pt")
    rows = []
    for number, (label, strokes) in enumerate(KNOWN.items()):
        picture = draw(strokes, checkpoint.raster)
        png = cv2.imencode(".png", picture)[1].tobytes()
        height, width = picture.shape
        row = Row(f"ink{number}", None, strokes, (), png, width, height, label, tuple(TOKENS[label]), "", "")
        rows.append(row)
    write_shard(rows, folder / "data/shards/test/part-00000.parquet")
    metrics = {"n": 3, "exprate": 1.0, "exprate_le1": 1.0, "exprate_le2": 1.0, "cer": 0.0, "ece": None}
    (folder / "reports/metrics.json").write_text(json.dumps(metrics))
    (folder / "data/calibration.json").write_text(Calibration().model_dump_json())
    (folder / "reports/train.json").write_text(json.dumps({"mlflow_run": None}))
    with contextlib.chdir(folder):
        export.export(params)
    return folder


def learnt(params: Params, steps: int = 300) -> Checkpoint:
    """Train the model on some hundred distortions of each ink."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    vocabulary = Vocabulary.build(TOKENS.values())
    small = {
        "embed_dim": 24, "depths": (1, 1), "heads": (1, 2), "window": 4, "decoder_width": 48,
        "decoder_heads": 2, "decoder_layers": 1, "max_tokens": 12, "dropout": 0.0, "drop_path": 0.0,
    }  # fmt: skip
    model = EncoderDecoder(params.model.model_copy(update=small), len(vocabulary)).train()
    raster = RasterSettings()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for step in range(steps):
        # One formula per batch: in a mixed one, pictures would have padding that they lack when read alone.
        name = list(KNOWN)[step % len(KNOWN)]
        pictures, tokens, middles = _batch(name, vocabulary, raster, model.multiple, rng)
        output = model(pictures, tokens[:, :-1])
        reading = F.cross_entropy(output.logits.flatten(0, 1), tokens[:, 1:].flatten())
        rows, columns = (side // model.stride for side in pictures.shape[2:])
        written = ~middles.isnan().any(dim=2)
        centres = middles[written] / model.stride - 0.5
        loss = reading + 0.3 * attention_supervision_loss(output.attention[written], centres, rows, columns)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return Checkpoint(model.eval(), vocabulary, raster)


def _batch(
    name: str, vocabulary: Vocabulary, raster: RasterSettings, multiple: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distort an ink several times: pictures, tokens, and the centre of each token's strokes, in pixels."""
    hands = [distort(KNOWN[name], 14, _HAND, rng) for _ in range(_HANDS)]
    inputs = [to_input(draw(strokes, raster), multiple) for strokes in hands]
    height, width = (max(made.shape[side] for made in inputs) for side in (1, 2))
    pictures = np.zeros((_HANDS, 1, height, width), np.float32)
    for picture, made in zip(pictures, inputs, strict=True):
        picture[:, : made.shape[1], : made.shape[2]] = made
    label = [BOS, *vocabulary.encode(TOKENS[name]), EOS]
    middles = np.full((_HANDS, len(label) - 1, 2), np.nan, np.float32)
    for hand, strokes in enumerate(hands):
        _, where = draw_placed(strokes, raster)
        for token in WRITTEN.keys() & set(range(len(TOKENS[name]))):
            box = box_of(strokes[WRITTEN[token]])
            middles[hand, token] = (box.mean(axis=0) - (where.left, where.top)) * where.scale
    return torch.from_numpy(pictures), torch.tensor([label] * _HANDS), torch.from_numpy(middles)
