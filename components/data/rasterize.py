"""InkML files and labelled pictures into Parquet shards, on all cores or machines, in bounded memory.

A split's sorted files are cut into shards, and those into chunks. A chunk is a task, which leaves its rows
in a file of its own and gives back where; a shard is a task that puts its chunks together. So the shards
are the same whoever does which task, and no process ever holds more than one shard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from dask.distributed import Client, Future, as_completed

from components.data.labels import label_of
from components.data.pictures import LABEL, row_of_picture
from components.data.rows import row_of_ink, symbol_token
from components.data.shards import SPLITS, Row, to_table, write_table
from components.ink.ink import Symbol
from components.ink.inkml import read_inkml
from components.ink.raster import RasterSettings

CHUNK = 256  # files; about half a second of work, a thousand times what Dask needs for a task


@dataclass(frozen=True)
class Reject:
    """An unusable file."""

    split: str
    file: str  # relative to the split's folder
    reason: str


@dataclass(frozen=True)
class Chunk:
    """Result of some files of a shard: a row in `path`, or a reject, for each."""

    split: str
    path: Path
    files: int
    rejects: tuple[Reject, ...]


@dataclass(frozen=True)
class Shard:
    """A shard to write: the files `sources` in `folder`, in this order."""

    split: str
    folder: Path
    sources: tuple[str, ...]
    path: Path

    def pieces(self) -> Iterator[tuple[tuple[str, ...], Path]]:
        """The files of each chunk, and the path of the chunk's rows."""
        for start in range(0, len(self.sources), CHUNK):
            yield (
                self.sources[start : start + CHUNK],
                self.path.with_name(f".{self.path.stem}.{start:06d}.arrow"),
            )


@dataclass(frozen=True)
class Outcome:
    """Result of a split."""

    files: int
    rejects: tuple[Reject, ...]

    @property
    def used(self) -> int:
        return self.files - len(self.rejects)

    @property
    def rejected(self) -> float:
        """The fraction of rejected files."""
        return len(self.rejects) / self.files


def row_of(folder: Path, source: str, settings: RasterSettings) -> Row:
    """Read one file, normalize its label, and draw its ink; a picture, named by its label, is prepared.

    Raises InkError, PictureError, LabelError, TokenError or ValueError (all ValueErrors, whose message is the
    reason) where it can't be used, and OSError where it can't be read.
    """
    if source.endswith(LABEL):
        return row_of_picture(folder, source, settings)
    ink = read_inkml(folder / source)
    symbols = tuple(Symbol(symbol_token(symbol.token), symbol.strokes) for symbol in ink.symbols)
    made = replace(ink, id=source.removesuffix(".inkml"), label=label_of(ink), symbols=symbols)
    return row_of_ink(made, source, settings)


def plan(raw: Path, out: Path, shard_rows: int) -> list[Shard]:
    """Partition the splits into shards. Raises FileNotFoundError for a split without files."""
    shards = []
    for split in SPLITS:
        folder = (raw / split).absolute()
        paths = (path for pattern in ("*.inkml", f"*{LABEL}") for path in folder.rglob(pattern))
        sources = sorted(path.relative_to(folder).as_posix() for path in paths)
        if not sources:
            raise FileNotFoundError(f"{raw / split}: no InkML or pictures; run `dvc repro download` first")
        for index, start in enumerate(range(0, len(sources), shard_rows)):
            path = (out / split / f"part-{index:05d}.parquet").absolute()
            shards.append(Shard(split, folder, tuple(sources[start : start + shard_rows]), path))
    return shards


def rasterize(
    client: Client, shards: Sequence[Shard], settings: RasterSettings, advance: Callable[[int], object]
) -> dict[str, Outcome]:
    """Write the shards into empty folders; returns the result of each split.

    `advance` is called with the number of files that are newly done. Files lie where every worker sees them.
    Raises OSError where a shard can't be written.
    """
    for folder in {shard.path.parent for shard in shards}:
        folder.mkdir(parents=True)
    files: Counter[str] = Counter()
    rejects: dict[str, list[Reject]] = {shard.split: [] for shard in shards}
    waiting = iter(shards)
    flow = as_completed()
    # Just enough to keep all workers busy until the next shard starts.
    ahead = 1 + -(-2 * len(client.nthreads()) * CHUNK // len(shards[0].sources))
    for shard in islice(waiting, ahead):
        flow.update(_submit(client, shard, settings))
    for future in flow:
        match future.result():
            case Chunk(split=split) as chunk:
                files[split] += chunk.files
                rejects[split].extend(chunk.rejects)
                advance(chunk.files)
            case _:  # a shard is complete
                for shard in islice(waiting, 1):
                    flow.update(_submit(client, shard, settings))
    return {
        split: Outcome(files[split], tuple(sorted(found, key=lambda reject: reject.file)))
        for split, found in rejects.items()
    }


def _submit(client: Client, shard: Shard, settings: RasterSettings) -> list[Future[Any]]:
    chunks = [
        client.submit(make_chunk, shard.split, shard.folder, sources, settings, path, pure=False)
        for sources, path in shard.pieces()
    ]
    return [*chunks, client.submit(merge_chunks, chunks, shard.path, pure=False)]


def make_chunk(
    split: str, folder: Path, sources: Sequence[str], settings: RasterSettings, path: Path
) -> Chunk:
    """Write the rows of some files as an Arrow file; returns the rejects."""
    rows, rejects = [], []
    for source in sources:
        try:
            rows.append(row_of(folder, source, settings))
        except ValueError as error:
            rejects.append(Reject(split, source.removesuffix(LABEL), str(error)))
        except OSError as error:
            rejects.append(Reject(split, source.removesuffix(LABEL), error.strerror or str(error)))
    table = to_table(rows)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return Chunk(split, path, len(sources), tuple(rejects))


def merge_chunks(chunks: Sequence[Chunk], path: Path) -> Path:
    """Merge chunks into one shard, in order, and remove them."""
    tables = [pa.ipc.open_file(pa.memory_map(str(chunk.path))).read_all() for chunk in chunks]
    write_table(pa.concat_tables(tables), path)
    for chunk in chunks:
        chunk.path.unlink()
    return path
