"""Parquet shards: a split as a handful of files, strokes and pictures side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.files import atomic_write
from components.ink.ink import Stroke, Symbol

SPLITS = ("train", "valid", "test")
COMPRESSION = "zstd"
CORRECTIONS = "corrections"  # the folder of users' corrections in train

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("writer", pa.string()),
        pa.field("strokes", pa.list_(pa.list_(pa.float32()))),  # x0, y0, …; null: a picture, which has none
        pa.field("symbols", pa.list_(pa.struct([("token", pa.string()), ("strokes", pa.list_(pa.int32()))]))),
        pa.field("png", pa.binary(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("latex", pa.string(), nullable=False),  # normalized
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
        pa.field("ink_hash", pa.string(), nullable=False),  # of coordinates or pixels: equal for copies
        pa.field("source", pa.string(), nullable=False),  # the file, relative to the split's folder
    ]
)


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a shard: a usable ink, or a picture without ink, which has no strokes."""

    id: str
    writer: str | None
    strokes: tuple[Stroke, ...] | None
    symbols: tuple[Symbol, ...]
    png: bytes
    width: int
    height: int
    latex: str
    tokens: tuple[str, ...]
    ink_hash: str
    source: str


def write_shard(rows: Sequence[Row], path: Path) -> None:
    """Write one shard atomically."""
    write_table(to_table(rows), path)


def write_table(table: pa.Table, path: Path) -> None:
    """Write one shard atomically."""
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression=COMPRESSION)


def to_table(rows: Sequence[Row]) -> pa.Table:
    """Convert rows to an Arrow table."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for row in rows:
        for name in ("id", "writer", "png", "width", "height", "latex", "ink_hash", "source"):
            columns[name].append(getattr(row, name))
        columns["tokens"].append(list(row.tokens))
        columns["strokes"].append(None if row.strokes is None else [stroke.ravel() for stroke in row.strokes])
        columns["symbols"].append([{"token": s.token, "strokes": list(s.strokes)} for s in row.symbols])
    return pa.table(columns, schema=SCHEMA)


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a split, in order. Raises FileNotFoundError without any."""
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no shards (part-*.parquet); run `dvc repro rasterize` first")
    return paths


def read_table(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a split, or some of its columns, as one Arrow table."""
    return pa.concat_tables(
        pq.read_table(path, columns=list(columns) if columns else None) for path in shard_paths(folder)
    )


class InkTable:
    """Inks of shards, read one by one from Arrow memory without copies."""

    def __init__(self, table: pa.Table) -> None:
        """`table` has the columns `strokes` and `symbols`."""
        table = table.combine_chunks()
        strokes = table["strokes"].chunk(0)
        self._of_ink = strokes.offsets.to_numpy()  # strokes of an ink
        self._of_stroke = strokes.values.offsets.to_numpy()
        self._values = strokes.values.values.to_numpy()
        self._symbols = table["symbols"]
        self._pictures = strokes.is_null().to_numpy(zero_copy_only=False)

    def __len__(self) -> int:
        return len(self._symbols)

    def is_picture(self, index: int) -> bool:
        """Whether a row is a picture without ink."""
        return bool(self._pictures[index])

    def strokes(self, index: int) -> tuple[Stroke, ...]:
        """The strokes of one ink; none of a picture."""
        first, last = self._of_ink[index], self._of_ink[index + 1]
        if first == last:
            return ()
        ends = self._of_stroke[first : last + 1]
        points = self._values[ends[0] : ends[-1]].reshape(-1, 2)
        return tuple(np.split(points, (ends[1:-1] - ends[0]) // 2))

    def symbols(self, index: int) -> tuple[Symbol, ...]:
        """The symbols of one ink."""
        return symbols_of(self._symbols[index].as_py() or [])


def source_of(file: str, sources: Sequence[str]) -> str:
    """Which source a row's file is of: one of `sources`, the main one first, or the corrections."""
    folder = file.partition("/")[0]
    return folder if folder in (*sources[1:], CORRECTIONS) else sources[0]


def strokes_of(value: Sequence[Sequence[float]]) -> tuple[Stroke, ...]:
    """Strokes as arrays of (points, 2), from a cell of the column `strokes`."""
    return tuple(np.asarray(flat, np.float32).reshape(-1, 2) for flat in value)


def symbols_of(value: Sequence[dict[str, Any]]) -> tuple[Symbol, ...]:
    """Symbols, from a cell of the column `symbols`."""
    return tuple(Symbol(cell["token"], tuple(cell["strokes"])) for cell in value)


def data_hash(folders: Sequence[Path]) -> str:
    """Hash of the shards' content, independent of their location."""
    total = hashlib.sha256()
    for folder in folders:
        for path in shard_paths(folder):
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]
