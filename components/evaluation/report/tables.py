"""Excerpts of the evaluation for dashboards: headline metrics as rows, the worst mistakes as Markdown."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import pyarrow.parquet as pq

from components.data.datasets import LabelledShards
from components.evaluation.metrics import Answer, Tokens
from components.evaluation.report.error_gallery import worst
from components.latex.tokenizer import tokenize

_RATES = ("exprate", "exprate_low", "exprate_high", "exprate_le1", "exprate_le2", "cer", "ece")


def metric_rows(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the headline metrics as percentages."""
    return [
        {"metric": name, "value": f"{metrics[name]:.2%}"} for name in _RATES if metrics.get(name) is not None
    ]


def error_table(predictions: Path, shards: Path, count: int) -> str:
    """Return the worst mistakes in predictions.parquet as a Markdown table with embedded pictures."""
    answers = [
        Answer(row["id"], tokenize(row["label"]), tokenize(row["prediction"]), row["confidence"])
        for row in pq.read_table(predictions).to_pylist()
    ]
    mistakes = worst(answers, count)
    if not mistakes.ids:
        return "No mistakes: every formula of the test split was recognized."
    pictures = LabelledShards(shards).pictures(mistakes.ids)
    lines = ["| picture | label | prediction | confidence |", "|---|---|---|---|"]
    for answer in (*mistakes.sure, *mistakes.far):
        png = b64encode(cv2.imencode(".png", pictures[answer.id])[1].tobytes()).decode()
        lines.append(
            f"| ![{answer.id}](data:image/png;base64,{png}) | {_cell(answer.label)} | {_cell(answer.read)} "
            f"| {answer.confidence:.0%} |"
        )
    return "\n".join(lines)


def _cell(tokens: Tokens) -> str:
    return f"`{' '.join(tokens).replace('|', chr(92) + '|')}`"
