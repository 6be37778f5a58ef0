"""The stage `symbols` gathers the sources that params.yaml names, each of which may lack."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.cli import symbol_sheet
from components.config import Params
from components.data.rasterize import row_of_ink
from components.data.shards import write_shard
from components.ink.ink import Ink, Symbol
from components.ink.inkml import write_inkml
from components.ink.raster import RasterSettings
from components.stages import symbols as stage
from components.synthesis.symbol_sources import (
    OMNIGLOT_HELD_OUT,
    SymbolSourceError,
    hasy_symbols,
    held_out_symbol,
    mathwriting_symbols,
    omniglot_symbols,
)

STROKE = np.float32([[0, 0], [4, 5], [9, 9]])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/shards/train").mkdir(parents=True)
    ink = Ink("ink", (STROKE, STROKE + 20), "x", None, (Symbol("x", (0, 1)), Symbol("sin", (0,))))
    write_shard(
        [row_of_ink(ink, "ink.inkml", RasterSettings())], tmp_path / "data/shards/train/part-00000.parquet"
    )
    return tmp_path


def with_symbols(params: Params, **sources: object) -> Params:
    made = params.synthesize.model_copy(update={"count": 1})
    chosen = made.symbols.model_copy(update=sources)
    return params.model_copy(update={"synthesize": made.model_copy(update={"symbols": chosen})})


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, BytesIO(data))
    return path


def inkml(folder: Path, label: str, count: int = 1) -> bytes:
    write_inkml(Ink("x", tuple(STROKE + 9 * n for n in range(count)), label), folder / "x.inkml")
    return (folder / "x.inkml").read_bytes()


def test_train_alone_gives_its_symbols_and_nothing_that_is_no_token(here: Path, params: Params) -> None:
    bank = stage.make_bank(with_symbols(params))
    assert bank.tokens == ["x"] and bank.all("x")[0].source == "train"
    assert json.loads(stage.REPORT.read_text()) == {"classes": 1, "samples": 1, "counts": {"x": {"train": 1}}}


def test_fonts_and_derivations_give_more_than_250_classes_and_a_sheet(here: Path, params: Params) -> None:
    bank = stage.make_bank(with_symbols(params, fonts=True, derived=True))
    assert len(bank.tokens) > 250 and {s.source for s in bank.all(r"\vec")} == {"derived"}
    again = stage.make_bank(with_symbols(params, fonts=True, derived=True))
    np.testing.assert_array_equal(again.all(r"\vec")[0].strokes[0], bank.all(r"\vec")[0].strokes[0])
    page = symbol_sheet.contact_sheet(bank, np.random.default_rng(0))
    assert np.asarray(page).min() < 60


def test_half_of_mathwriting_s_symbols_is_left_for_measuring(here: Path) -> None:
    names = [f"{number:04x}" for number in range(40)]
    files = {f"m/symbols/{name}.inkml": inkml(here, r"\frac") for name in names}
    files["m/train/abc.inkml"] = inkml(here, "x+y", 3)
    entries = [{"sourceSampleId": "abc", "strokeIndices": [1, 2], "label": "y"},
               {"sourceSampleId": "elsewhere", "strokeIndices": [0], "label": "z"}]  # fmt: skip
    files["m/symbols.jsonl"] = "\n".join(map(json.dumps, entries)).encode()
    path = archive(here / "m.tar.xz", files)
    mine, theirs = list(mathwriting_symbols(path)), list(mathwriting_symbols(path, held_out=True))
    singles = [sample.hand for token, sample in mine if token == "-"]
    assert len(singles) + len(theirs) == 40 and 10 < len(theirs) < 30
    assert not any(map(held_out_symbol, singles)) and all(held_out_symbol(s.hand) for _, s in theirs)
    (listed,) = [sample for token, sample in mine if token == "y"]
    assert len(listed.strokes) == 2


def test_some_of_omniglot_s_drawers_are_left_for_measuring(here: Path) -> None:
    lines = [
        json.dumps(
            {"label": r"\alpha", "alphabet": "Greek", "drawer": d, "strokes": [[[0, 0, 1], [5, 5, 2]]]}
        )
        for d in range(1, 21)
    ]
    path = archive(here / "o.tar.xz", {"o/symbols.jsonl": "\n".join(lines).encode()})
    assert len(list(omniglot_symbols(path))) == 20 - len(OMNIGLOT_HELD_OUT)
    assert {s.hand for _, s in omniglot_symbols(path, held_out=True)} == {
        f"Greek-{drawer}" for drawer in OMNIGLOT_HELD_OUT
    }


def test_pictures_are_thinned_and_must_have_as_many_labels(here: Path) -> None:
    picture = np.full((32, 32), 255, np.uint8)
    cv2.line(picture, (4, 4), (28, 28), 0, 3)
    png = cv2.imencode(".png", picture)[1].tobytes()
    files = {"h/train_images/0.png": png, "h/train_images/1.png": png, "h/train_labels.csv": b"15\n2\n"}
    found = list(hasy_symbols(archive(here / "h.tar.xz", files)))
    assert [token for token, _ in found] == [r"\pi", r"\infty"]
    files["h/train_labels.csv"] = b"15\n"
    with pytest.raises(SymbolSourceError, match="2 pictures of train, 1 labels"):
        list(hasy_symbols(archive(here / "h.tar.xz", files)))


def test_own_symbols_are_a_folder_and_a_missing_source_names_its_parameter(
    here: Path, params: Params
) -> None:
    (here / "own").mkdir()
    inkml(here / "own", r"\leq")
    assert r"\le" in stage.make_bank(with_symbols(params, own=here / "own"))
    with pytest.raises(SymbolSourceError, match=r"synthesize\.symbols\.hasy: .*nothing"):
        stage.make_bank(with_symbols(params, hasy=here / "nothing"))


def test_without_formulas_there_is_no_bank_to_make(here: Path, params: Params) -> None:
    none = params.model_copy(update={"synthesize": params.synthesize.model_copy(update={"count": 0})})
    assert len(stage.make_bank(none)) == 0
