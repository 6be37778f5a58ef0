"""The stage `synthesize`: formulas of the training split's symbols and labels, the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from components.config import Params
from components.data.rasterize import row_of_ink
from components.data.shards import read_table, shard_paths, write_shard
from components.ink.ink import Ink, Symbol
from components.ink.raster import RasterSettings
from components.latex.normalizer import normalize
from components.stages import synthesize as stage

LABELS = ["x+1=2", r"\frac{1}{x}-2", "x^{2}=1-x", "1+x+2"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/shards/train").mkdir(parents=True)
    rows = []
    for number, label in enumerate(LABELS):
        written = [token for token in label if token in "x+1=2-"]
        strokes = tuple(
            np.float32([[12 * place, 0], [12 * place + 8, 3], [12 * place + 2, 10 + number]])
            for place in range(len(written))
        )
        symbols = tuple(Symbol(token, (place,)) for place, token in enumerate(written))
        ink = Ink(f"ink{number}", strokes, label, None, symbols)
        rows.append(row_of_ink(ink, f"ink{number}.inkml", RasterSettings()))
    write_shard(rows, tmp_path / "data/shards/train/part-00000.parquet")
    stage._material.cache_clear()
    return tmp_path


def with_count(params: Params, count: int) -> Params:
    wanted = params.synthesize.model_copy(update={"count": count, "max_tokens": 12})
    return params.model_copy(update={"synthesize": wanted})


@pytest.mark.slow
def test_formulas_are_labelled_drawn_and_the_same_again(here: Path, params: Params) -> None:
    assert stage.synthesize(with_count(params, 60)) == 60
    first = read_table(here / "data/synthetic").to_pylist()
    assert json.loads((here / "reports/synthesize.json").read_text()) == {"formulas": 60}
    assert len(first) == 60 and len({row["latex"] for row in first}) > 30
    for row in first:
        assert normalize(row["latex"]) == row["latex"] and len(row["tokens"]) <= 12
        assert row["width"] > 0 and row["png"]
        written = [symbol["token"] for symbol in row["symbols"]]
        assert set(written) <= set("x+1=2-")
        assert sorted(n for symbol in row["symbols"] for n in symbol["strokes"]) == list(
            range(len(row["strokes"]))
        )
    content = shard_paths(here / "data/synthetic")[0].read_bytes()
    stage.synthesize(with_count(params, 60))
    assert shard_paths(here / "data/synthetic")[0].read_bytes() == content


def test_asked_for_none_it_leaves_an_empty_folder(here: Path, params: Params) -> None:
    assert stage.synthesize(with_count(params, 0)) == 0
    assert list((here / "data/synthetic").iterdir()) == []


def test_inks_that_do_not_say_what_is_what_are_refused(here: Path, params: Params) -> None:
    ink = Ink("ink", (np.float32([[0, 0], [5, 5]]),), "x")
    row = row_of_ink(ink, "ink.inkml", RasterSettings())
    write_shard([row], here / "data/shards/train/part-00000.parquet")
    with pytest.raises(ValueError, match=r"which strokes are which symbol; set synthesize\.count"):
        stage.write_formulas(Path("data/shards/train"), here, RasterSettings(), 7, 12, 0, 5)
