from pathlib import Path

import cv2
import numpy as np
import pytest

from components.config import Params, load_params
from components.data.shards import Row, write_shard
from components.ink.raster import RasterSettings, draw
from components.latex.vocabulary import Vocabulary
from components.model.trainer import Job
from components.synthesis.formula_grammar import formula
from components.synthesis.handwriting import Writer, set_formula

ROOT = Path(__file__).parents[2]
RASTER = RasterSettings(symbol=16, pen=0.08, margin=4, max_height=96, max_width=320)


def rows(split: str, count: int) -> list[Row]:
    rng = np.random.default_rng(len(split))
    result = []
    for number in range(count):
        typeset = set_formula(formula(rng, 8))
        ink, _ = Writer(number % 5, 7).write(typeset, f"{split}-{number}", rng)
        picture = draw(ink.strokes, RASTER)
        png = cv2.imencode(".png", picture)[1].tobytes()
        height, width = picture.shape
        assert ink.label is not None
        result.append(
            Row(ink.id, ink.writer, ink.strokes, ink.symbols, png, width, height, ink.label, typeset.tokens,
                ink.id, ink.id)
        )  # fmt: skip
    return result


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    for split, count in (("train", 64), ("valid", 16)):
        (folder / split).mkdir()
        write_shard(rows(split, count), folder / split / "part-00000.parquet")
    return folder


@pytest.fixture(scope="session")
def params(tmp_path_factory: pytest.TempPathFactory) -> Params:
    folder = tmp_path_factory.mktemp("params")
    (folder / "presets").mkdir()
    (folder / "presets" / "ci.yaml").write_text((ROOT / "presets" / "ci.yaml").read_text())
    (folder / "params.yaml").write_text(
        (ROOT / "params.yaml").read_text().replace("preset: demo", "preset: ci")
    )
    return load_params(folder / "params.yaml")


@pytest.fixture
def job(shards: Path, params: Params) -> Job:
    import pyarrow.parquet as pq

    tokens = pq.read_table(shards / "train" / "part-00000.parquet")["tokens"].to_pylist()
    train = params.train.model_copy(update={"epochs": 4, "workers": 0, "ema": 0.9})
    vocabulary = Vocabulary.build(tokens)
    return Job(shards, shards / "valid", vocabulary, RASTER, params.model, train, seed=7, data_hash="x")
