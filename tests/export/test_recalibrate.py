"""A recalibrated bundle reads with the search that was asked for, and is as sure as its data say."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.export import recalibrate
from components.ink.ink import Ink
from components.ink.inkml_writer import write_inkml
from components.recognizer.bundle import bundled_model, load_bundle
from components.recognizer.recognizer import Recognizer
from tests.recognizer.inks import formula

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve inks of one formula's strokes, all with a label that nobody would read there."""
    folder = tmp_path_factory.mktemp("inks")
    for number in range(12):
        strokes = formula()[: 2 + number % 6]
        moved = tuple(stroke * (1 + number / 20) for stroke in strokes)
        write_inkml(Ink(str(number), moved, r"\alpha\beta\gamma"), folder / f"{number}.inkml")
    return folder


def test_who_is_always_wrong_is_no_longer_sure(
    inks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "recalibrated"
    arguments = [str(bundled_model()), str(out), "--data", str(inks), "--beam", "2", "--scales", "1.15"]
    assert recalibrate.main(arguments) == 0
    assert "12 samples  exact 0.0%" in capsys.readouterr().out
    before, after = load_bundle(bundled_model()), load_bundle(out)
    assert (after.settings.decoding.beam, after.settings.decoding.scales) == (2, (1.15,))
    assert after.version != before.version and after.about == before.about
    strokes = formula()[:4]
    [sure], [doubtful] = (
        [Recognizer.load(folder).read_ink(strokes).confidence] for folder in (before.folder, after.folder)
    )
    assert doubtful < min(sure, 0.2)


def test_without_samples_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    arguments = [str(bundled_model()), str(tmp_path / "out"), "--data", str(tmp_path / "empty")]
    assert recalibrate.main(arguments) == 1
    assert "no .inkml file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
