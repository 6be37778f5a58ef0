"""Summary of an evaluation for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from components.evaluation.metrics import SURE, Evaluation, Group


def summary(evaluation: Evaluation, title: str) -> Table:
    """Table of headline metrics, then ExpRate and CER by length and by structure."""
    table = Table(title=Text(title, style="bold"), title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("n", "ExpRate", "95 %", "≤ 1", "≤ 2", "CER"):
        table.add_column(name, justify="right")
    _rows(table, [evaluation.overall])
    scores = evaluation.functions
    table.add_row("function names kept", str(scores.n), f"{scores.exprate:.2%}", "",
                  f"{scores.exprate_le1:.2%}", f"{scores.exprate_le2:.2%}", f"{scores.cer:.2%}",
                  end_section=True)  # fmt: skip
    _rows(table, evaluation.by_length, " tokens")
    _rows(table, evaluation.by_structure)
    return table


def confidence_line(evaluation: Evaluation) -> str:
    """One sentence on the calibration."""
    sure, n = evaluation.reliability, evaluation.overall.scores.n
    right = "" if sure.sure_right is None else f", {sure.sure_right:.1%} of them correct"
    return f"confidence: ECE {sure.ece:.3f}; {sure.sure} of {n} predictions are above {SURE:.0%}{right}"


def _rows(table: Table, groups: Sequence[Group], unit: str = "") -> None:
    for group in groups:
        scores = group.scores
        table.add_row(group.name + unit, str(scores.n), f"{scores.exprate:.2%}",
                      f"{group.low:.1%}–{group.high:.1%}", f"{scores.exprate_le1:.2%}",
                      f"{scores.exprate_le2:.2%}", f"{scores.cer:.2%}",
                      end_section=group is groups[-1])  # fmt: skip
