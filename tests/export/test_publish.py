"""What is shipped says how it came about."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from components.export.publish import Tried, sheet, whole_history, write_curve
from components.recognizer.recognizer import Prediction


def test_a_training_that_began_with_a_shipped_model_goes_on_counting(tmp_path: Path) -> None:
    (tmp_path / "shipped").mkdir()
    for folder, rates in (("shipped", [0.1, 0.2]), ("", [0.25, 0.3, 0.4])):
        table = pd.DataFrame({"epoch": range(len(rates)), "valid_exprate": rates, "seconds": 60.0})
        table.to_csv(tmp_path / folder / "history.csv", index=False)
    last, start = tmp_path / "history.csv", tmp_path / "shipped/model.pt"
    whole = whole_history(last, start)
    assert whole["epoch"].tolist() == [0, 1, 2, 3, 4]
    assert whole["valid_exprate"].tolist() == [0.1, 0.2, 0.25, 0.3, 0.4]
    assert len(whole_history(last, None)) == 3
    assert len(whole_history(last, tmp_path / "elsewhere/model.pt")) == 3, "nothing is known of that one"


def test_mistakes_stand_one_below_the_other_with_their_pictures() -> None:
    pictures = [np.full((30, 80), shade, np.uint8) for shade in (0, 128)]
    tried = [Tried(picture, ("x",), Prediction("y", ("y",), 0.5)) for picture in pictures]
    made = sheet(tried)
    assert made.shape == (2 * (30 + 24), 640)
    for picture, top in zip(pictures, (0, 54), strict=True):
        np.testing.assert_array_equal(made[top : top + 30, :80], picture)
        assert (made[top + 30 : top + 54] < 128).any(), "what was read is written below"
    assert (sheet([]) == 255).all(), "without mistakes the paper is empty"


def test_the_curve_is_a_picture(tmp_path: Path) -> None:
    table = pd.DataFrame({"epoch": [0, 1], "valid_exprate": [0.1, 0.4], "valid_loss": [2.0, 1.0]})
    write_curve(table, tmp_path / "curve.png")
    assert cv2.imread(str(tmp_path / "curve.png")).shape[1] == 704
