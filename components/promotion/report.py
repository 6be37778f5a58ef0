"""The promotion report: Markdown for people, JSON for a registry tag."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from components.latex.metrics import Scores
from components.promotion.comparison import CandidateResult
from components.promotion.gate import Verdict


def markdown(
    verdict: Verdict,
    challenger: CandidateResult,
    champion: CandidateResult | None,
    at: datetime,
    remarks: tuple[str, ...] = (),
) -> str:
    """Return the report. `remarks` are caveats that a reader should know."""
    return "\n".join(_lines(verdict, challenger, champion, at, remarks)) + "\n"


def gate_metrics(verdict: Verdict, challenger: CandidateResult) -> str:
    """Return the figures as JSON, short enough for a registry tag."""
    figures: dict[str, object] = {
        "promoted": verdict.promoted,
        "comparison": verdict.comparison,
        "failed": verdict.failed,
        "n": verdict.challenger.n,
        "exprate": round(verdict.challenger.exprate, 5),
        "cer": round(verdict.challenger.cer, 5),
        "latency_ms": round(challenger.latency, 2),
        "size_mb": round(challenger.size, 2),
    }
    for name, difference in (("exprate_difference", verdict.exprate), ("cer_difference", verdict.cer)):
        if difference is not None:
            figures[name] = [round(part, 5) for part in (difference.value, difference.low, difference.high)]
    return json.dumps(figures)


def _lines(
    verdict: Verdict,
    challenger: CandidateResult,
    champion: CandidateResult | None,
    at: datetime,
    remarks: tuple[str, ...],
) -> Iterator[str]:
    yield f"# {challenger.name}: {'promoted' if verdict.promoted else 'rejected'}"
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
    yield "\n## Requirements\n\n| requirement | measured | passed |\n|---|---|---|"
    for check in verdict.checks:
        yield f"| {check.requirement} | {check.measured} | {'yes' if check.passed else '**no**'} |"
    if verdict.changes:
        yield "\n## ExpRate by structure\n\n| structure | n | before | now | difference |"
        yield "|---|---|---|---|---|"
        for change in verdict.changes:
            yield (
                f"| {change.structure} | {change.n} | {change.champion:.1%} | {change.challenger:.1%} "
                f"| {change.difference} |"
            )


def _figures(scores: Scores, candidate: CandidateResult) -> list[tuple[str, str]]:
    return [
        ("ExpRate", f"{scores.exprate:.2%}"),
        ("≤ 1 error", f"{scores.exprate_le1:.2%}"),
        ("≤ 2 errors", f"{scores.exprate_le2:.2%}"),
        ("CER", f"{scores.cer:.2%}"),
        ("latency, median ms per picture", f"{candidate.latency:.1f}"),
        ("bundle size, MB", f"{candidate.size:.1f}"),
    ]
