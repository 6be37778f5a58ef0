"""Plots of an evaluation: a PNG for people and a CSV for `dvc plots show` of each.

by-length, by-structure   ExpRate by kind of formula
confusions                which symbol was read as which
reliability               how often answers of a confidence are right
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from components.evaluation.metrics import Confusion, Evaluation, Group, Reliability
from components.files import atomic_write, write_csv

_BLUE, _GREY, _INK = "#2f6f9f", "#b9c2ca", "#24303a"
_CONFUSIONS = 20  # bars that are still legible
_NOTHING = "∅"  # missing or added token
_BRACES = {"{", "}"}  # not written: they follow from misread scripts and fractions


def write_plots(evaluation: Evaluation, folder: Path) -> None:
    """Write all plots into `folder`."""
    for name, title, groups in (
        ("by-length", "Exact match by length of the label (tokens)", evaluation.by_length),
        ("by-structure", "Exact match by what the formula contains", evaluation.by_structure),
    ):
        _write_groups(groups, folder / f"{name}.csv")
        _save(_draw_groups(groups, title), folder / f"{name}.png")
    confusions = [c for c in evaluation.confusions if not _BRACES & {c.label, c.read}][:_CONFUSIONS]
    _write_confusions(confusions, folder / "confusions.csv")
    _save(_draw_confusions(confusions), folder / "confusions.png")
    _write_reliability(evaluation.reliability, folder / "reliability.csv")
    _save(_draw_reliability(evaluation.reliability), folder / "reliability.png")


def _write_groups(groups: Sequence[Group], path: Path) -> None:
    header = ("group", "n", "exprate", "low", "high", "exprate_le1", "exprate_le2", "cer")
    write_csv(
        header,
        (
            (g.name, s.n, s.exprate, g.low, g.high, s.exprate_le1, s.exprate_le2, s.cer)
            for g in groups
            for s in (g.scores,)
        ),
        path,
    )


def _write_confusions(confusions: Sequence[Confusion], path: Path) -> None:
    rows = ((_pair(c), c.label or "", c.read or "", c.count, c.of) for c in confusions)
    write_csv(("confusion", "label", "read", "count", "of"), rows, path)


def _write_reliability(reliability: Reliability, path: Path) -> None:
    """One row per non-empty bin; `ideal` is the diagonal to compare `right` with."""
    rows = ((b.low, b.high, b.n, b.confidence, b.right, b.confidence) for b in reliability.bins if b.n)
    write_csv(("low", "high", "n", "confidence", "right", "ideal"), rows, path)


def _draw_groups(groups: Sequence[Group], title: str) -> Figure:
    figure, axes = _figure(title, 1.3 + 0.42 * len(groups))
    rates = [group.scores.exprate for group in groups]
    whiskers = (
        [rate - group.low for rate, group in zip(rates, groups, strict=True)],
        [group.high - rate for rate, group in zip(rates, groups, strict=True)],
    )
    axes.barh(range(len(groups)), rates, 0.68, color=_BLUE, xerr=whiskers, ecolor=_INK, capsize=3)
    axes.set_yticks(range(len(groups)), [f"{group.name}  (n = {group.scores.n})" for group in groups])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("ExpRate, with its 95 % interval")
    return figure


def _draw_confusions(confusions: Sequence[Confusion]) -> Figure:
    figure, axes = _figure("Most confused symbols: written → read", 1.3 + 0.3 * max(len(confusions), 1))
    bars = axes.barh(range(len(confusions)), [c.count for c in confusions], 0.68, color=_BLUE)
    shares = [f" {c.count / c.of:.1%} of {c.label}" if c.of else "" for c in confusions]
    for text in axes.bar_label(bars, shares, padding=2, fontsize=8, color=_INK):
        text.set_parse_math(False)
    axes.set_yticks(range(len(confusions)), [_pair(c) for c in confusions], family="monospace")
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.invert_yaxis()
    axes.margins(x=0.22, y=0.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"count ({_NOTHING}: nothing)")
    if not confusions:
        axes.set(xticks=[], yticks=[], xlabel="none: every symbol was read right")
    return figure


def _draw_reliability(reliability: Reliability) -> Figure:
    figure, axes = _figure(f"Reliability: accuracy by confidence, ECE {reliability.ece:.3f}", 5.2)
    middles = [(b.low + b.high) / 2 for b in reliability.bins]
    width = 0.9 / len(middles)
    axes.bar(middles, [b.right for b in reliability.bins], width, color=_BLUE, label="share that is right")
    axes.plot((0, 1), (0, 1), color=_INK, linewidth=1, linestyle="--", label="ideal")
    held = [b for b in reliability.bins if b.n]
    axes.plot([b.confidence for b in held], [b.right for b in held], "o", color=_INK, markersize=4)
    for b, middle in zip(reliability.bins, middles, strict=True):
        axes.annotate(f"n={b.n}", (middle, 1.01), ha="center", va="bottom", fontsize=7, color=_INK)
    axes.set(xlim=(0, 1), ylim=(0, 1.08), xlabel="confidence", ylabel="share of answers that is right")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.92), frameon=False)
    return figure


def _pair(confusion: Confusion) -> str:
    return f"{confusion.label or _NOTHING} → {confusion.read or _NOTHING}"


def _figure(title: str, height: float) -> tuple[Figure, Axes]:
    # Without pyplot: no global state, no display.
    figure = Figure(figsize=(7, height), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=_GREY, alpha=0.5, linewidth=0.6)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    with atomic_write(path) as beside:
        figure.savefig(beside, format="png")
