"""What train may learn from of what users corrected: nothing that is asked for, the newest of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config import DataParams, Params
from components.data.correction_filter import admitted
from components.ink.raster import RasterSettings
from tests.inks import write_ink

RASTER = RasterSettings()


def chosen(params: Params, **update: object) -> DataParams:
    return params.data.model_copy(update={"source": "crohme", **update})


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.stem for path in paths]


def test_an_ink_that_is_asked_for_is_left_out_whatever_is_said_of_it(
    tmp_path: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    corrections = [write_ink(tmp_path / f"{number}.inkml", number, "y") for number in range(3)]
    asked = [write_ink(tmp_path / "test" / "a.inkml", 1, "x")]
    assert names(admitted(corrections, asked, 40, chosen(params), RASTER)) == ["2", "0"]
    assert capsys.readouterr().out == "corrections: 1 left out, the same ink or picture is in valid or test\n"


def test_only_of_synthetic_ink_a_label_that_is_asked_for_is_left_out_too(
    tmp_path: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    corrections = [
        write_ink(tmp_path / "same.inkml", 0, "$ {x + 1} $"),  # respelled
        write_ink(tmp_path / "new.inkml", 1, "y"),
        write_ink(tmp_path / "broken.inkml", 2, r"\frac"),
    ]
    asked = [write_ink(tmp_path / "valid" / "a.inkml", 7, "x+1")]
    assert len(admitted(corrections, asked, 40, chosen(params), RASTER)) == 3, (
        "people write one formula twice"
    )
    assert capsys.readouterr().out == ""
    kept = admitted(corrections, asked, 40, chosen(params, source="synthetic"), RASTER)
    assert names(kept) == ["new", "broken"], "what is broken, `rasterize` tells"
    assert capsys.readouterr().out == "corrections: 1 left out, their label is in valid or test\n"


def test_past_their_share_of_train_the_newest_are_taken(
    tmp_path: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {
        "a": "2026-11-24T08:00:00+00:00",
        "b": "2026-11-24T09:30:00+02:00",  # before a, which text would not tell
        "z": None,
        "y": "yesterday",
    }
    old = [write_ink(tmp_path / f"{name}.inkml", n, at=at) for n, (name, at) in enumerate(times.items())]
    new = [
        write_ink(tmp_path / f"{number}.inkml", number, at=f"2026-11-25T00:00:00.{number:06}")
        for number in range(4, 310)
    ]
    kept = admitted(old + new, [], 40, chosen(params, max_corrections=0.2), RASTER)
    assert names(kept) == [str(number) for number in range(309, 299, -1)]
    assert capsys.readouterr().out == (
        "corrections: 300 left out, more than data.max_corrections (20.0% of train); the newest are taken\n"
    )
    assert names(admitted(old, [], 40, chosen(params, max_corrections=0.03), RASTER)) == ["a"]
    assert names(admitted(old, [], 40, chosen(params, max_corrections=0.2), RASTER)) == [
        "a",
        "b",
        "z",
        "y",
    ]
    assert admitted(old, [], 40, chosen(params, max_corrections=0.0), RASTER) == ()
