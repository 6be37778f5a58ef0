"""The gate's report: Markdown for people and Prefect, HTML of it, and the numbers for a tag."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from html import escape

from markdown_it import MarkdownIt

from components.latex.metrics import Scores
from components.promotion.comparison import Trial
from components.promotion.gate import Verdict


def markdown(
    verdict: Verdict, challenger: Trial, champion: Trial | None, at: datetime, remarks: tuple[str, ...] = ()
) -> str:
    """The whole report. `remarks` are what a person should know besides."""
    return "\n".join(_lines(verdict, challenger, champion, at, remarks)) + "\n"


def html(report: str) -> str:
    """The report as a page that needs no network."""
    title = report.partition("\n")[0].lstrip("# ")
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(report)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}</body>
</html>
"""


def numbers(verdict: Verdict, challenger: Trial) -> str:
    """The figures as JSON, short enough for a tag."""
    found: dict[str, object] = {
        "promoted": verdict.promoted,
        "n": verdict.challenger.n,
        "exprate": round(verdict.challenger.exprate, 5),
        "cer": round(verdict.challenger.cer, 5),
        "latency_ms": round(challenger.latency, 2),
        "size_mb": round(challenger.size, 2),
    }
    for name, difference in (("exprate_difference", verdict.exprate), ("cer_difference", verdict.cer)):
        if difference is not None:
            found[name] = [round(part, 5) for part in (difference.value, difference.low, difference.high)]
    return json.dumps(found)


def _lines(
    verdict: Verdict, challenger: Trial, champion: Trial | None, at: datetime, remarks: tuple[str, ...]
) -> Iterator[str]:
    yield f"# {challenger.name}: {'promoted' if verdict.promoted else 'refused'}"
    yield f"\n{verdict.reason[:1].upper()}{verdict.reason[1:]}.\n"
    yield from (f"> {remark}\n" for remark in remarks)
    yield f"{at:%Y-%m-%d %H:%M} UTC, {verdict.challenger.n} inks of the test split.\n"
    against = (
        " | — |" if champion is None or verdict.champion is None else f" | {champion.name} | difference |"
    )
    yield f"| | {challenger.name}{against}"
    yield f"|---|---{'|---' * (against.count('|') - 1)}|"
    old = _figures(verdict.champion, champion) if champion and verdict.champion else None
    differences = [str(verdict.exprate or ""), "", "", str(verdict.cer or ""), "", ""]
    for row, (name, value) in enumerate(_figures(verdict.challenger, challenger)):
        yield f"| {name} | {value} |" + (f" {old[row][1]} | {differences[row]} |" if old else "")
    yield "\n## What was asked\n\n| it … | found | |\n|---|---|---|"
    for check in verdict.checks:
        yield f"| {check.asked} | {check.found} | {'yes' if check.passed else '**no**'} |"
    if verdict.changes:
        yield "\n## By structure\n\n| formulas | n | before | now | difference |\n|---|---|---|---|---|"
        for change in verdict.changes:
            yield (
                f"| {change.structure} | {change.n} | {change.champion:.1%} | {change.challenger:.1%} "
                f"| {change.difference} |"
            )


def _figures(scores: Scores, trial: Trial) -> list[tuple[str, str]]:
    return [
        ("ExpRate", f"{scores.exprate:.2%}"),
        ("≤ 1 error", f"{scores.exprate_le1:.2%}"),
        ("≤ 2 errors", f"{scores.exprate_le2:.2%}"),
        ("CER", f"{scores.cer:.2%}"),
        ("ms a picture, median", f"{trial.latency:.1f}"),
        ("MB", f"{trial.size:.1f}"),
    ]


_STYLE = """
body { margin: 0 auto; padding: 1.5rem; max-width: 60rem; font: 1rem/1.5 system-ui, sans-serif;
       background: Canvas; color: CanvasText; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #8886;
         font-variant-numeric: tabular-nums; }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: .25rem solid #c80; }
"""
