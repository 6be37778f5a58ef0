"""What is shipped says how it came about."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from components.export.publish import whole_history


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
