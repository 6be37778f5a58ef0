"""InkML files and labelled pictures into Parquet shards, on all cores or machines, in bounded memory.

A split's sorted files are cut into shards, and those into chunks. A chunk is a task, which leaves its rows
in a file of its own and gives back where; a shard is a task that puts its chunks together. So the shards
are the same whoever does which task, and no process ever holds more than one shard.

Workers that do not see this machine's files find a chunk's files packed at an address, and leave chunks and
shards there.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client, Future, as_completed

from components.data.labels import label_of
from components.data.packed_files import packed_files, unpack_files
from components.data.pictures import LABEL, row_of_picture
from components.data.rows import row_of_ink, symbol_token
from components.data.shards import COMPRESSION, SPLITS, Row, to_table, write_table
from components.files import atomic_write
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
    path: str  # of a file on this machine, or an address
    files: int
    rejects: tuple[Reject, ...]


@dataclass(frozen=True)
class Shard:
    """A shard to write: the files `sources` in `folder`, in this order, or in its `archives`."""

    split: str
    folder: Path
    sources: tuple[str, ...]
    path: Path
    archives: tuple[str, ...] = ()

    def pieces(self) -> Iterator[tuple[tuple[str, ...], Path]]:
        """The files of each chunk, and the path of the chunk's rows."""
        for start in range(0, len(self.sources), CHUNK):
            yield (
                self.sources[start : start + CHUNK],
                self.path.with_name(f".{self.path.stem}.{start:06d}.arrow"),
            )


@dataclass(frozen=True)
class Merged:
    """A complete shard: its path on the machine that asked for it, and where it lies now."""

    path: Path
    at: str


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
        packed = packed_files(folder)
        sources = sorted(
            [
                *(path.relative_to(folder).as_posix() for path in paths),
                *(name for name in packed if name.endswith((".inkml", LABEL))),
            ]
        )
        if not sources:
            raise FileNotFoundError(f"{raw / split}: no InkML or pictures; run `dvc repro download` first")
        for index, start in enumerate(range(0, len(sources), shard_rows)):
            path = (out / split / f"part-{index:05d}.parquet").absolute()
            chosen = tuple(sources[start : start + shard_rows])
            archives = tuple(sorted({packed[name] for name in chosen if name in packed}))
            shards.append(Shard(split, folder, chosen, path, archives))
    return shards


def rasterize(
    client: Client,
    shards: Sequence[Shard],
    settings: RasterSettings,
    advance: Callable[[int], object],
    storage: str | None = None,
) -> dict[str, Outcome]:
    """Write the shards into empty folders; returns the result of each split.

    `advance` is called with the number of files that are newly done. Without `storage`, every worker sees
    this machine's files at the same paths; `storage` is an address that all reach, and `clear` removes what
    is left there. Raises OSError where a shard can't be written.
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
        flow.update(_submit(client, shard, settings, storage))
    for future in flow:
        match future.result():
            case Chunk(split=split) as chunk:
                files[split] += chunk.files
                rejects[split].extend(chunk.rejects)
                advance(chunk.files)
            case Merged() as merged:
                if storage is not None:
                    _fetch(merged)
                for shard in islice(waiting, 1):
                    flow.update(_submit(client, shard, settings, storage))
    return {
        split: Outcome(files[split], tuple(sorted(found, key=lambda reject: reject.file)))
        for split, found in rejects.items()
    }


def _submit(client: Client, shard: Shard, settings: RasterSettings, storage: str | None) -> list[Future[Any]]:
    chunks = []
    for sources, path in shard.pieces():
        task: tuple[Any, ...] = (make_chunk, shard.split, shard.folder, sources, settings, str(path))
        if storage is not None:
            at = f"{storage}/{shard.split}/{path.name.removeprefix('.')}"
            with _single_files(shard.folder, shard.archives, sources) as folder:
                task = (make_sent_chunk, shard.split, send(folder, sources, at), sources, settings, at)
        elif shard.archives:
            task = (make_packed_chunk, shard.split, shard.folder, shard.archives, *task[3:])
        chunks.append(client.submit(*task, pure=False))
    at = str(shard.path) if storage is None else f"{storage}/{shard.split}/{shard.path.name}"
    return [*chunks, client.submit(merge_chunks, chunks, shard.path, at, pure=False)]


def send(folder: Path, sources: Sequence[str], at: str) -> str:
    """Write some files, pictures with their labels, into one archive beside `at`; return its address.

    What can't be read is left out: who reads the archive rejects it.
    """
    address = f"{at}.zip"
    with (
        fsspec.open(address, "wb", auto_mkdir=True) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in _with_pictures(sources):
            if (folder / name).is_file():
                archive.write(folder / name, name)
    return address


def _with_pictures(sources: Sequence[str]) -> list[str]:
    """The files, and the pictures of those that are labels."""
    return [name for source in sources for name in dict.fromkeys((source, source.removesuffix(LABEL)))]


@contextmanager
def _single_files(folder: Path, archives: Sequence[str], sources: Sequence[str]) -> Iterator[Path]:
    """A folder in which some files lie by themselves."""
    if not archives:
        yield folder
        return
    with TemporaryDirectory() as name:
        unpack_files(folder, archives, _with_pictures(sources), Path(name))
        yield Path(name)


def make_packed_chunk(
    split: str,
    folder: Path,
    archives: Sequence[str],
    sources: Sequence[str],
    settings: RasterSettings,
    path: str,
) -> Chunk:
    """Do as `make_chunk` with files that are packed in archives of the folder."""
    with _single_files(folder, archives, sources) as single:
        return make_chunk(split, single, sources, settings, path)


def make_sent_chunk(
    split: str, sent: str, sources: Sequence[str], settings: RasterSettings, path: str
) -> Chunk:
    """Do as `make_chunk` with the files of an archive at an address."""
    with TemporaryDirectory() as folder:
        with fsspec.open(sent, "rb") as file, zipfile.ZipFile(file) as archive:
            archive.extractall(folder)
        return make_chunk(split, Path(folder), sources, settings, path)


def make_chunk(
    split: str, folder: Path, sources: Sequence[str], settings: RasterSettings, path: str
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
    with fsspec.open(path, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return Chunk(split, path, len(sources), tuple(rejects))


def merge_chunks(chunks: Sequence[Chunk], path: Path, at: str) -> Merged:
    """Merge chunks into one shard at `at`, in order; remove them if they are on this machine.

    At an address they stay, so that a task can be repeated whose worker was lost.
    """
    tables = []
    for chunk in chunks:
        with fsspec.open(chunk.path, "rb") as file:
            tables.append(pa.ipc.open_file(io.BytesIO(file.read())).read_all())
    table = pa.concat_tables(tables)
    if at == str(path):
        write_table(table, path)
        for chunk in chunks:
            Path(chunk.path).unlink()
    else:
        with fsspec.open(at, "wb") as file:
            pq.write_table(table, file, compression=COMPRESSION)
    return Merged(path, at)


def _fetch(merged: Merged) -> None:
    """Download a shard from its address."""
    files, path = fsspec.core.url_to_fs(merged.at)
    with atomic_write(merged.path) as temporary:
        files.get_file(path, str(temporary))


def clear(address: str) -> None:
    """Remove all files at an address, if there are any."""
    files, path = fsspec.core.url_to_fs(address)
    files.invalidate_cache()  # other machines have written
    if files.exists(path):
        files.rm(path, recursive=True)
