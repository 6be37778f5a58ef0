"""The drift report: Markdown, and a self-contained HTML page with a histogram per column."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from components.config import MonitorParams
from components.evaluation.report.markdown_page import markdown_page
from components.monitoring.result import Drift

HTML, SUMMARY = "drift.html", "drift.md"

Sample = npt.NDArray[np.float64]
Pair = tuple[str, Sample, Sample]  # a column's name, its values in the reference and in the window

_BINS = 40
_REFERENCE, _WINDOW = "#b9c2ca", "#2f6f9f"


def markdown(drift: Drift, params: MonitorParams) -> str:
    """Return the verdict, a table of the columns, and what was compared."""
    verdict = "no verdict" if not drift.judged else "yes" if drift.drifted else "no"
    lines = [f"# Drift: {verdict}", "", f"{drift.reason[0].upper()}{drift.reason[1:]}.", ""]
    if drift.judged:
        lines += [
            "| column | reference, median | window, median | PSI | p | drifted |",
            "|---|--:|--:|--:|--:|---|",
            *(
                f"| {c.name} | {c.reference_median:.4g} | {c.window_median:.4g} | {c.psi:.3f} "
                f"| {c.p_value:.2g} | {'**yes**' if c.drifted else 'no'} |"
                for c in drift.columns
            ),
            "",
            f"A column has drifted if its PSI is above {params.psi:g} and the p-value of a two-sample "
            f"Kolmogorov-Smirnov test is below {params.p_value:g}. {HTML} has the histograms.",
            "",
        ]
    lines += [
        f"- reference: {drift.reference_n:,} predictions on the test split",
        f"- window: {drift.window_n:,} predictions by version {drift.model}, "
        f"{drift.start:%Y-%m-%d %H:%M} to {drift.end:%Y-%m-%d %H:%M %Z}",
        f"- invalid lines in the prediction logs: {drift.invalid_lines:,}",
    ]
    return "\n".join(lines) + "\n"


def html(report: str, pairs: Sequence[Pair]) -> str:
    """Return the report as a page with the histograms embedded: it loads nothing."""
    plots = [
        f"![Histogram of {name}](data:image/png;base64,{b64encode(png).decode()})"
        for name, reference, window in pairs
        for png in (_histogram(name, reference, window),)
    ]
    return markdown_page("\n\n".join([report, *plots]))


def _histogram(name: str, reference: Sample, window: Sample) -> bytes:
    """Draw both samples over the same bins, as densities."""
    figure = Figure(figsize=(7, 2.6), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    edges = np.histogram_bin_edges(np.concatenate([reference, window]), _BINS).tolist()
    axes.hist(reference, edges, density=True, color=_REFERENCE, label="reference (test split)")
    axes.hist(window, edges, density=True, histtype="step", color=_WINDOW, linewidth=1.5, label="window")
    axes.set_title(name, loc="left")
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
