"""Population stability index (PSI) of two histograms over the same bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def population_stability_index(
    reference: Sequence[float] | npt.NDArray[np.int64], current: Sequence[float] | npt.NDArray[np.int64]
) -> float:
    """Return the PSI of two histograms given as counts. 0 means the same distribution; above 0.2, a shift.

    Every bin occupied by either histogram gets one observation more (Laplace smoothing): an empty bin would
    make the logarithm infinite. Raises ValueError for histograms of different lengths or without counts.
    """
    counts = np.array([reference, current], np.float64)
    counts = counts[:, counts.any(axis=0)] + 1
    if not counts.size:
        raise ValueError("PSI needs counts: both histograms are empty")
    expected, actual = counts / counts.sum(axis=1, keepdims=True)
    return float(((actual - expected) * np.log(actual / expected)).sum())
