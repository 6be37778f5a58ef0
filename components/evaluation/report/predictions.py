"""The evaluation's files for programs: metrics.json, predictions.parquet, rejected.csv."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.evaluation.metrics import Answer
from components.latex.tokenizer import detokenize

PREDICTIONS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),  # normalised LaTeX
        pa.field("prediction", pa.string(), nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("label_tokens", pa.int32(), nullable=False),  # how many
        pa.field("prediction_tokens", pa.int32(), nullable=False),
        pa.field(
            "edits", pa.int32(), nullable=False
        ),  # 0: right; MathWriting's CER counts space tokens besides
    ]
)


def write_metrics(metrics: Mapping[str, object], path: Path) -> None:
    """Writes metrics.json."""
    with whole(path) as beside:
        beside.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def write_predictions(answers: Iterable[Answer], path: Path) -> None:
    """Writes one row an answer, in the order given."""
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
    with whole(path) as beside:
        pq.write_table(pa.Table.from_pylist(rows, schema=PREDICTIONS), beside, compression="zstd")


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]], path: Path) -> None:
    """Writes a table with a header, as `dvc plots show` and spreadsheets take it."""
    with whole(path) as beside, beside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to instead of `path`, which it becomes at the end: nobody finds half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
