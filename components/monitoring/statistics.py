"""Statistics of drift in one column: PSI over the reference's deciles, two-sample Kolmogorov-Smirnov test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp

from components.config import MonitorParams
from components.recognizer.psi import population_stability_index

Floats = npt.NDArray[np.float64]

_DECILES = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True)
class ColumnDrift:
    """Drift of one column from the reference."""

    name: str
    reference_median: float
    window_median: float
    psi: float
    p_value: float
    drifted: bool


def compare_column(name: str, reference: Floats, window: Floats, params: MonitorParams) -> ColumnDrift:
    """Compare two samples. Drift needs both a large PSI and a small p-value.

    Either alone raises false alarms: with many predictions the test rejects differences too small to matter,
    with few the PSI is large by chance.
    """
    psi = sample_psi(reference, window)
    # The asymptotic p-value: the exact one is slow and warns for large samples, and the minimum window is
    # large enough for the approximation.
    p_value = float(ks_2samp(reference, window, method="asymp").pvalue)
    return ColumnDrift(
        name=name,
        reference_median=float(np.median(reference)),
        window_median=float(np.median(window)),
        psi=psi,
        p_value=p_value,
        drifted=psi > params.psi and p_value < params.p_value,
    )


def sample_psi(reference: Floats, window: Floats) -> float:
    """Return the PSI of two samples, binned by the deciles of the reference.

    A value that fills more than one decile gets a bin of its own, so that columns with few distinct values
    are compared value by value.
    """
    deciles, repeats = np.unique(np.quantile(reference, _DECILES), return_counts=True)
    edges = np.union1d(deciles, np.nextafter(deciles[repeats > 1], np.inf))
    reference_counts, window_counts = (
        np.bincount(np.digitize(sample, edges), minlength=len(edges) + 1) for sample in (reference, window)
    )
    return population_stability_index(reference_counts, window_counts)
