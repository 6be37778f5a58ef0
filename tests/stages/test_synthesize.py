"""The stage `synthesize`: formulas of the training split's symbols and labels, the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from components.config import Params
from components.data.rows import row_of_ink
from components.data.shards import Row, read_table, shard_paths, write_shard
from components.ink.ink import Ink, Symbol
from components.ink.raster import RasterSettings
from components.latex.normalizer import normalize
from components.stages import formulas, symbols
from components.stages import synthesize as stage
from components.synthesis.symbol_bank import Sample, SymbolBank

LABELS = ["x+1=2", r"\frac{1}{x}-2", "x^{2}=1-x", "1+x+2"]
HELD_OUT = ["1+1+1+1=2"]


@pytest.fixture
def here(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "valid", "test"):
        (tmp_path / "data/shards" / split).mkdir(parents=True)
        rows = [
            written(number, label) for number, label in enumerate(LABELS if split == "train" else HELD_OUT)
        ]
        write_shard(rows, tmp_path / "data/shards" / split / "part-00000.parquet")
    stage._material.cache_clear()
    symbols.make_bank(with_count(params, 1))
    formulas.make_lists(with_count(params, 1))
    return tmp_path


def written(number: int, label: str) -> Row:
    tokens = [token for token in label if token in "x+1=2-"]
    strokes = tuple(
        np.float32([[12 * place, 0], [12 * place + 8, 3], [12 * place + 2, 10 + number]])
        for place in range(len(tokens))
    )
    owned = tuple(Symbol(token, (place,)) for place, token in enumerate(tokens))
    return row_of_ink(
        Ink(f"ink{number}", strokes, label, None, owned), f"ink{number}.inkml", RasterSettings()
    )


def with_count(params: Params, count: int, **formulas: object) -> Params:
    wanted = params.synthesize.model_copy(update={"count": count, "max_tokens": 12})
    lists = wanted.formulas.model_copy(update=formulas)
    return params.model_copy(update={"synthesize": wanted.model_copy(update={"formulas": lists})})


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


def rows(here: Path, params: Params, count: int) -> list[Row]:
    rng = np.random.default_rng(3)
    return list(stage._rows(here / "data/shards/train", RasterSettings(), params.synthesize, 0, count, rng))


def test_formulas_of_lists_are_written_too_but_none_that_is_held_out(here: Path, params: Params) -> None:
    (here / "list.txt").write_text("2+2=x\nx+x+x=1\n" + 5 * "1+1+1+1=2\n")
    wanted = with_count(params, 1, lists=(here / "list.txt",), share=1.0)
    assert formulas.make_lists(wanted) == {"formulas": 2, "held_out": 1, "left_out": 1}
    found = {row.latex for row in rows(here, wanted, 200)}
    assert {"2+2=x", "x+x+x=1"} <= found and not found & set(HELD_OUT)


def test_samplers_write_with_the_symbols_that_there_are(here: Path, params: Params) -> None:
    found = rows(here, with_count(params, 1, samplers=1.0), 40)
    assert {symbol.token for row in found for symbol in row.symbols} <= set("x+1=2-")
    assert any(len(row.tokens) == 1 for row in found)


def test_inks_that_do_not_say_what_is_what_are_refused(here: Path, params: Params) -> None:
    ink = Ink("ink", (np.float32([[0, 0], [5, 5]]),), "x")
    row = row_of_ink(ink, "ink.inkml", RasterSettings())
    write_shard([row], here / "data/shards/train/part-00000.parquet")
    with pytest.raises(symbols.SymbolSourceError, match=r"synthesize\.symbols"):
        symbols.make_bank(with_count(params, 1))
    SymbolBank([]).save(symbols.BANK)
    with pytest.raises(ValueError, match=r"synthesize\.count"):
        rows(here, with_count(params, 1), 5)


def test_formulas_that_cannot_be_written_end_in_an_error(here: Path, params: Params) -> None:
    stroke = np.float32([[0, 0], [5, 5]])
    SymbolBank([("y", Sample((stroke,), "own"))]).save(symbols.BANK)
    with pytest.raises(ValueError, match=r"could not be written; the last: no sample of"):
        rows(here, with_count(params, 1), 5)
