"""The model that MLflow loads reads a row however it is given, and says of each bad one why."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace

import cv2
import pandas as pd
import pytest

from components.ink.raster import RasterSettings, draw
from components.registry.pyfunc_model import HandwrittenMath
from tests.recognizer.inks import formula

INKML = "<ink><trace>0 0, 4 5, 9 12</trace><trace>9 0, 0 12</trace></ink>"


@pytest.fixture(scope="module")
def model(exported: Path) -> HandwrittenMath:
    model = HandwrittenMath()
    model.load_context(SimpleNamespace(artifacts={"bundle": str(exported / "data/bundle")}))
    return model


@pytest.fixture(scope="module")
def png() -> bytes:
    return cv2.imencode(".png", draw(formula(), RasterSettings()))[1].tobytes()


def test_a_picture_reads_the_same_however_it_is_given(
    model: HandwrittenMath, png: bytes, tmp_path: Path
) -> None:
    (tmp_path / "formula.png").write_bytes(png)
    text = base64.b64encode(png).decode()
    rows = [png, bytearray(png), text, f"data:image/png;base64,{text}", str(tmp_path / "formula.png")]
    read = model.predict(None, rows)
    assert list(read.columns) == ["latex", "confidence", "error"] and len(read) == len(rows)
    assert read.drop_duplicates(["latex", "error"]).shape[0] == 1
    assert (read["error"] == "").all() and (read["confidence"] > 0).all()
    [latex] = set(read["latex"])
    assert model.recognizer.read_file(png).latex == latex


@pytest.mark.parametrize("given", [INKML, [INKML], pd.DataFrame({"ink": [INKML], "other": [b""]})])
def test_one_row_a_list_and_a_table_s_first_column_are_read(model: HandwrittenMath, given: object) -> None:
    read = model.predict(None, given)
    assert read["latex"].tolist() == [model.recognizer.read_file(INKML.encode()).latex]


def test_a_row_that_can_not_be_read_has_its_reason_and_the_others_are_read(
    model: HandwrittenMath, png: bytes
) -> None:
    read = model.predict(None, [b"no picture", png, "nowhere.png", 7, "<ink>", "a\0b"])
    assert [bool(error) for error in read["error"]] == [True, False, True, True, True, True]
    bad = read[read["error"] != ""]
    assert (bad["latex"] == "").all() and (bad["confidence"] == 0).all()
    assert "nowhere.png" in read["error"][2] and "int" in read["error"][3]


def test_the_number_of_beams_is_a_parameter(model: HandwrittenMath, png: bytes) -> None:
    for beam in (1, 3):
        [confidence] = model.predict(None, [png], {"beam": beam})["confidence"]
        assert confidence == pytest.approx(model.recognizer.read_file(png, beam).confidence, rel=1e-4)
    usual = model.predict(None, [png])
    pd.testing.assert_frame_equal(model.predict(None, [png], {"beam": 0}), usual)
