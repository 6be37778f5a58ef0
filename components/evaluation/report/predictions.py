"""Predictions of an evaluation as a Parquet table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.evaluation.metrics import Answer
from components.files import atomic_write
from components.latex.tokenizer import detokenize

PREDICTIONS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),  # normalized LaTeX
        pa.field("prediction", pa.string(), nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("label_tokens", pa.int32(), nullable=False),  # number of tokens
        pa.field("prediction_tokens", pa.int32(), nullable=False),
        pa.field(
            "edits", pa.int32(), nullable=False
        ),  # 0: correct; MathWriting's CER also counts space tokens
    ]
)


def write_predictions(answers: Iterable[Answer], path: Path) -> None:
    """Write one row per prediction, in the given order."""
    rows = [
        {
            "id": answer.id,
            "label": detokenize(answer.label),
            "prediction": detokenize(answer.read),
            "confidence": answer.confidence,
            "label_tokens": len(answer.label),
            "prediction_tokens": len(answer.read),
            "edits": answer.edits,
        }
        for answer in answers
    ]
    with atomic_write(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=PREDICTIONS), temporary, compression="zstd")
