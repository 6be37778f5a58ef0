"""`python -m components predict`: LaTeX for people, JSON for scripts, a fault for each bad file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.__main__ import main
from components.cli.predict import predict
from components.ink.raster import RasterSettings, draw
from components.latex.vocabulary import EOS, Vocabulary
from components.recognizer.bundle import BundleSettings, DecodingConfig
from components.recognizer.recognizer import Recognizer
from tests.recognizer.engines import TableEngine
from tests.recognizer.inks import formula


@pytest.fixture
def recognizer() -> Recognizer:
    vocabulary = Vocabulary.build([["\\pi", "r"]])
    pi, r = vocabulary.encode(["\\pi", "r"])
    sure = {(): {pi: 1.0}, (pi,): {r: 0.75, EOS: 0.25}, (pi, r): {EOS: 1.0}}
    settings = BundleSettings(raster=RasterSettings(), multiple=16, decoding=DecodingConfig(max_tokens=8))
    return Recognizer(TableEngine([sure], len(vocabulary)), vocabulary, settings)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    png, ink, bad = (tmp_path / name for name in ("a.png", "b.inkml", "c.jpg"))
    png.write_bytes(cv2.imencode(".png", draw(formula(), RasterSettings()))[1].tobytes())
    points = ", ".join(f"{x} {y}" for x, y in np.concatenate(formula()))
    ink.write_text(f"<ink><trace>{points}</trace></ink>")
    bad.write_bytes(b"no picture")
    return [bad, png, tmp_path / "nowhere.png", ink]


def test_people_see_file_probability_and_latex(
    recognizer: Recognizer, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(files, recognizer, beam=2, n_best=2, as_json=False) == 2
    out, err = capsys.readouterr()
    answer = "\n   75.0%  \\pi r\n   25.0%  \\pi\n"
    assert out == f"{files[1]}{answer}{files[3]}{answer}"
    assert f"{files[0]}: " in err
    assert f"{files[2]}: No such file or directory" in err


def test_scripts_get_one_json_object_a_line(
    recognizer: Recognizer, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    predict(files[1:2], recognizer, beam=2, n_best=2, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "file": str(files[1]),
        "latex": "\\pi r",
        "tokens": ["\\pi", "r"],
        "confidence": pytest.approx(0.75),
        "alternatives": [{"latex": "\\pi", "confidence": pytest.approx(0.25)}],
    }


def test_who_asks_is_told_where_each_token_was_read(
    recognizer: Recognizer, files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    # The engine's only cell is as large as a picture that fits into it.
    picture = np.full((16, 16), 255, np.uint8)
    picture[3:5, 4:9] = 0
    recognizer.settings = recognizer.settings.model_copy(
        update={"raster": RasterSettings(margin=3, symbol=8)}
    )
    files[1].write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    predict(files[1:2], recognizer, beam=1, n_best=1, as_json=False, explain=True)
    predict(files[1:2], recognizer, beam=1, n_best=1, as_json=True, explain=True)
    *text, line = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in text[-2:]] == ["\\pi", "r"]
    pi, r = json.loads(line)["token_boxes"]
    assert (pi["token"], r["token"]) == ("\\pi", "r") and (r["start"], r["end"]) == (4, 5)
    assert pi["box"] == pytest.approx([4, 3, 9, 5], abs=2)


def test_without_a_model_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "a.png", "--model", str(tmp_path)]) == 1
    assert "dvc repro export" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_beam_is_a_number(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "a.png", "--beam", value])
    assert "positive integer" in capsys.readouterr().err
