"""The stage `symbols` gathers the sources that params.yaml names, each of which may lack."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.cli import symbol_sheet
from components.config import Params
from components.data.rows import row_of_ink
from components.data.shards import write_shard
from components.ink.ink import Ink, Symbol
from components.ink.inkml import write_inkml
from components.ink.raster import RasterSettings
from components.latex.tokenizer import tokenize
from components.stages import symbols as stage
from components.synthesis import symbol_sources
from components.synthesis.symbol_bank import Sample, SymbolBank
from components.synthesis.symbol_sources import (
    OMNIGLOT_HELD_OUT,
    SCRIPT_FONTS,
    SymbolSourceError,
    font_symbols,
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


def test_mouse_steps_are_smoothed_but_not_in_what_is_measured(here: Path) -> None:
    steps = [[n + (n % 2), n, n] for n in range(60)]
    lines = [
        json.dumps({"label": "x", "alphabet": "Latin", "drawer": d, "strokes": [steps]}) for d in (1, 20)
    ]
    path = archive(here / "o.tar.xz", {"o/symbols.jsonl": "\n".join(lines).encode()})
    ((_, smooth),) = omniglot_symbols(path)
    ((_, measured),) = omniglot_symbols(path, held_out=True)
    np.testing.assert_array_equal(measured.strokes[0], np.float32(steps)[:, :2])
    assert _bend(smooth.strokes[0]) < 0.2 * _bend(measured.strokes[0])
    np.testing.assert_allclose(smooth.strokes[0][[0, -1]], measured.strokes[0][[0, -1]])


def _bend(stroke: np.ndarray) -> float:
    """The sum of a stroke's turns, radians."""
    directions = np.arctan2(*np.diff(stroke, axis=0).T)
    return float(np.abs(np.diff(directions)).sum())


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


@pytest.mark.parametrize("source", ["mathwriting", "omniglot", "hasy"])
def test_an_archive_that_can_t_be_read_names_its_parameter(here: Path, params: Params, source: str) -> None:
    noise = np.random.default_rng(0).bytes(100_000)
    whole = archive(here / "whole.tar.xz", {"noise": noise})
    broken, cut = here / "broken.tar.xz", here / "cut.tar.xz"
    broken.write_bytes(b"no archive")
    cut.write_bytes(whole.read_bytes()[:50_000])
    for path, reason in ((broken, "can't be read"), (cut, "can't be read"), (whole, "no symbols")):
        with pytest.raises(
            SymbolSourceError, match=rf"synthesize\.symbols\.{source}: .*{path.name}.*{reason}"
        ):
            stage.make_bank(with_symbols(params, **{source: path}))


def test_an_entry_without_its_fields_names_the_parameter(here: Path, params: Params) -> None:
    path = archive(here / "o.tar.xz", {"o/symbols.jsonl": b'{"label": "x"}'})
    with pytest.raises(SymbolSourceError, match=r"synthesize\.symbols\.omniglot: .*drawer"):
        stage.make_bank(with_symbols(params, omniglot=path))


def test_nothing_is_derived_from_script_letters(
    here: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[SymbolBank] = []

    def derived(bank: SymbolBank, rng: np.random.Generator) -> Iterator[tuple[str, Sample]]:
        parts.append(bank)
        return iter(())

    monkeypatch.setattr(symbol_sources, "derived_samples", derived)
    bank = stage.make_bank(with_symbols(params, fonts=True, derived=True))
    assert {"futural", *SCRIPT_FONTS} <= {sample.hand for sample in bank.all("V")}
    hands = {sample.hand for sample in parts[0].all("V")}
    assert "futural" in hands and not hands & set(SCRIPT_FONTS)


def test_fonts_have_mathematical_signs() -> None:
    found = {token for token, _ in font_symbols()}
    assert {r"\in", r"\propto", r"\nabla", r"\therefore", r"\varphi", r"\vartheta", r"\{"} <= found
    assert all(len(tokenize(token)) == 1 for token in found)


def test_without_formulas_there_is_no_bank_to_make(here: Path, params: Params) -> None:
    none = params.model_copy(update={"synthesize": params.synthesize.model_copy(update={"count": 0})})
    assert len(stage.make_bank(none)) == 0
