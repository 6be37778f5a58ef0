"""The result of a drift check."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from components.monitoring.statistics import ColumnDrift


@dataclass(frozen=True)
class Drift:
    """A comparison of recent predictions with the reference."""

    model: str
    start: datetime
    end: datetime
    reference_n: int
    window_n: int
    invalid_lines: int  # of the prediction logs
    columns: tuple[ColumnDrift, ...]  # empty if there are too few predictions for a verdict
    reason: str

    @property
    def judged(self) -> bool:
        """Whether there were enough predictions for a verdict."""
        return bool(self.columns)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that have drifted."""
        return tuple(column.name for column in self.columns if column.drifted)
