"""Parquet shards: a split as a handful of files, strokes and pictures side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
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


def mapped_tables(folder: Path, columns: Sequence[str], copies: Path) -> Iterator[pa.Table]:
    """Read columns of a split from mapped memory, one table a shard.

    Parquet is compressed and has to be read whole. Training, which needs every ink in random order, copies
    the shards once to Arrow files in `copies` and maps these: the system keeps in memory what is in use, and
    all processes of a machine share it. An existing copy is taken as it is. Raises OSError.
    """
    for path in shard_paths(folder):
        copy = copies / f"{path.stem}.arrow"
        if not copy.exists():
            table = pq.read_table(path, columns=list(columns)).combine_chunks()
            with (
                atomic_write(copy, concurrent=True) as temporary,
                pa.ipc.new_file(temporary, table.schema) as file,
            ):
                file.write_table(table, max_chunksize=max(len(table), 1))
        yield pa.ipc.open_file(pa.memory_map(str(copy))).read_all()


class InkTable:
    """The rows of tables, by one index over all of them; strokes are views of Arrow's memory."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        """Each table has the column `strokes`, and those that are asked for."""
        self._tables = [table.combine_chunks() for table in tables]
        self._starts = np.cumsum([0, *map(len, self._tables)])
        self._strokes = [_StrokeColumn(table["strokes"]) for table in self._tables]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of all rows."""
        return pa.chunked_array([chunk for table in self._tables for chunk in table[name].chunks])

    def cell(self, name: str, index: int) -> pa.Scalar:
        """One cell."""
        table, row = self._place(index)
        return self._tables[table][name][row]

    def is_picture(self, index: int) -> bool:
        """Whether a row is a picture without ink."""
        table, row = self._place(index)
        return bool(self._strokes[table].missing[row])

    def strokes(self, index: int) -> tuple[Stroke, ...]:
        """The strokes of one ink; none of a picture."""
        table, row = self._place(index)
        return self._strokes[table].strokes(row)

    def symbols(self, index: int) -> tuple[Symbol, ...]:
        """The symbols of one ink."""
        return symbols_of(self.cell("symbols", index).as_py() or [])

    def _place(self, index: int) -> tuple[int, int]:
        """The table of a row, and its number there."""
        table = int(np.searchsorted(self._starts, index, side="right")) - 1
        return table, index - int(self._starts[table])


class _StrokeColumn:
    """The column `strokes` of one table, without copies."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        strokes = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        self.missing = strokes.is_null().to_numpy(zero_copy_only=False)
        self._of_ink = strokes.offsets.to_numpy()  # strokes of an ink
        self._of_stroke = strokes.values.offsets.to_numpy()
        self._values = strokes.values.values.to_numpy()

    def strokes(self, row: int) -> tuple[Stroke, ...]:
        first, last = self._of_ink[row], self._of_ink[row + 1]
        if first == last:
            return ()
        ends = self._of_stroke[first : last + 1]
        points = self._values[ends[0] : ends[-1]].reshape(-1, 2)
        return tuple(np.split(points, (ends[1:-1] - ends[0]) // 2))


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
