"""Rasterize InkML files into Parquet shards, on all cores or machines, in bounded memory.

A split's sorted files are cut into shards, and those into chunks. A chunk is a task, which leaves its rows
in a file of its own and gives back where; a shard is a task that puts its chunks together. So the shards
are the same whoever does which task, and no process ever holds more than one shard.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from dask.distributed import Client, Future, as_completed

from components.data.labels import label_of
from components.data.shards import SPLITS, Row, to_table, write_table
from components.ink.ink import Ink, Stroke, Symbol
from components.ink.inkml import read_inkml
from components.ink.raster import RasterSettings, draw
from components.latex.normalizer import LabelError, normalize
from components.latex.tokenizer import TokenError, detokenize, tokenize

CHUNK = 256  # files; about half a second of work, a thousand times what Dask needs for a task
_STRUCTURE = frozenset("{}^_")


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
    """Read and rasterize one file, and normalize its label.

    Raises InkError, LabelError, TokenError or ValueError (all ValueErrors, whose message is the reason) where
    it can't be used, and OSError where it can't be read.
    """
    ink = read_inkml(folder / source)
    symbols = tuple(Symbol(symbol_token(symbol.token), symbol.strokes) for symbol in ink.symbols)
    made = replace(ink, id=source.removesuffix(".inkml"), label=label_of(ink), symbols=symbols)
    return row_of_ink(made, source, settings)


def row_of_ink(ink: Ink, source: str, settings: RasterSettings) -> Row:
    """Rasterize an ink with a normalized label. Raises ValueError if there is nothing to draw."""
    assert ink.label is not None
    picture = draw(ink.strokes, settings)
    done, png = cv2.imencode(".png", picture)
    assert done, "OpenCV encodes every uint8 picture"
    return Row(
        id=ink.id,
        writer=ink.writer,
        strokes=ink.strokes,
        symbols=ink.symbols,
        png=png.tobytes(),
        width=picture.shape[1],
        height=picture.shape[0],
        latex=ink.label,
        tokens=tokenize(ink.label),
        ink_hash=ink_hash(ink.strokes),
        source=source,
    )


def ink_hash(strokes: Sequence[Stroke]) -> str:
    """SHA-256 of an ink's strokes, independent of position: equal for copies."""
    points = np.concatenate(strokes)
    digest = hashlib.sha256(np.array([len(stroke) for stroke in strokes], np.int64).tobytes())
    digest.update((points - points.min(axis=0)).tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=4096)  # there are some hundreds
def symbol_token(truth: str) -> str:
    r"""The token of a single symbol in a normalized label: `\leq` → `\le`, `'` → `\prime`.

    What is no label by itself (`\sqrt`) stays as it is; what is written with several symbols (`\sin`) becomes
    their text.
    """
    try:
        tokens = tokenize(normalize(truth))
    except (LabelError, TokenError):
        return truth.strip("$ ")
    return detokenize(token for token in tokens if token not in _STRUCTURE)


def plan(raw: Path, out: Path, shard_rows: int) -> list[Shard]:
    """Partition the splits into shards. Raises FileNotFoundError for a split without InkML."""
    shards = []
    for split in SPLITS:
        folder = (raw / split).absolute()
        sources = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.inkml"))
        if not sources:
            raise FileNotFoundError(f"{raw / split}: no InkML; run `dvc repro download` first")
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
            rejects.append(Reject(split, source, str(error)))
        except OSError as error:
            rejects.append(Reject(split, source, error.strerror or str(error)))
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
