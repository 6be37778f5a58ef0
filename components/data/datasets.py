"""Labelled pictures for evaluation: a split's shards, a folder of InkML, or one of pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pyarrow.parquet as pq

from components.data.labels import label_of
from components.data.picture_folder import LISTS, Entry, LabelsError, labels_file, read_labels
from components.data.pictures import read_picture
from components.data.shards import InkTable, read_table, shard_paths
from components.ink.ink import Stroke
from components.ink.inkml import read_inkml
from components.ink.raster import Picture, RasterSettings, draw
from components.latex.normalizer import normalize
from components.latex.tokenizer import tokenize

_ROWS = 256  # rows of a shard in memory at once


@dataclass(frozen=True, eq=False)
class Sample:
    """A rasterized picture and its label's tokens."""

    id: str
    label: tuple[str, ...]
    picture: Picture


@dataclass(frozen=True)
class Reject:
    """An unusable file."""

    file: str  # relative to the searched folder
    reason: str


class Labelled(Protocol):
    """A set of labelled pictures, which need not fit into memory."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample | Reject]:
        """All entries in a fixed order; `len` counts samples and rejects."""
        ...

    def pictures(self, ids: Sequence[str]) -> dict[str, Picture]:
        """Pictures of some samples, by id."""
        ...


class LabelledShards:
    """A split of the pipeline. Raises FileNotFoundError without shards."""

    def __init__(self, folder: Path, limit: int = 0) -> None:
        """At most `limit` of the rows, evenly spaced; 0: all."""
        self._paths = shard_paths(folder)
        self._chosen = _spread(sum(pq.read_metadata(path).num_rows for path in self._paths), limit)

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Sample | Reject]:
        chosen, row = set(self._chosen), 0
        for path in self._paths:
            for batch in pq.ParquetFile(path).iter_batches(_ROWS, columns=["id", "png", "tokens"]):
                for index in range(batch.num_rows):
                    if row in chosen:
                        cells = {name: batch.column(name)[index].as_py() for name in ("id", "png", "tokens")}
                        yield Sample(cells["id"], tuple(cells["tokens"]), _decoded(cells["png"]))
                    row += 1

    def pictures(self, ids: Sequence[str]) -> dict[str, Picture]:
        wanted = [("id", "in", list(ids))]
        tables = [pq.read_table(path, columns=["id", "png"], filters=wanted) for path in self._paths]
        return {row["id"]: _decoded(row["png"]) for table in tables for row in table.to_pylist()}


class LabelledFolder:
    """All InkML files in a folder, searched recursively; ids are relative paths without suffix.

    Raises FileNotFoundError where there is no such folder, or no InkML file in it.
    """

    def __init__(self, folder: Path, settings: RasterSettings, limit: int = 0) -> None:
        """At most `limit` of the files, evenly spaced in sorted order; 0: all."""
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: not a folder")
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if _is_inkml(path))
        if not files:
            raise FileNotFoundError(f"{folder}: no .inkml file in it or below")
        self._folder, self._settings = folder, settings
        self._files = [files[index] for index in _spread(len(files), limit)]

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Sample | Reject]:
        for file in self._files:
            try:
                yield self._sample(file)
            except ValueError as error:  # of the ink, the label or the drawing
                yield Reject(file, str(error))
            except OSError as error:
                yield Reject(file, error.strerror or str(error))

    def pictures(self, ids: Sequence[str]) -> dict[str, Picture]:
        wanted = set(ids)
        samples = (self._sample(file) for file in self._files if _id(file) in wanted)
        return {sample.id: sample.picture for sample in samples}

    def _sample(self, file: str) -> Sample:
        ink = read_inkml(self._folder / file)
        return Sample(_id(file), tokenize(label_of(ink)), draw(ink.strokes, self._settings))


class LabelledPictures:
    """The pictures that a folder's list of labels names; ids are their paths in it.

    Raises LabelsError where there is no such list, or none that can be used.
    """

    def __init__(self, folder: Path, settings: RasterSettings, limit: int = 0) -> None:
        """At most `limit` of the pictures, evenly spaced in sorted order; 0: all."""
        listed = labels_file(folder)
        if listed is None:
            raise LabelsError(f"{folder}: no {' or '.join(LISTS)}")
        entries = read_labels(listed)
        self._folder, self._settings = folder, settings
        self._entries = [entries[index] for index in _spread(len(entries), limit)]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Sample | Reject]:
        for entry in self._entries:
            try:
                yield self._sample(entry)
            except ValueError as error:  # of the picture or the label
                yield Reject(entry.file, str(error))
            except OSError as error:
                yield Reject(entry.file, error.strerror or str(error))

    def pictures(self, ids: Sequence[str]) -> dict[str, Picture]:
        wanted = set(ids)
        samples = (self._sample(entry) for entry in self._entries if entry.file in wanted)
        return {sample.id: sample.picture for sample in samples}

    def _sample(self, entry: Entry) -> Sample:
        label = tokenize(normalize(entry.latex))
        return Sample(entry.file, label, read_picture(self._folder / entry.file, False, self._settings))


class LabelledSymbols:
    """Single symbols, each drawn as an ink of its own."""

    def __init__(self, symbols: Sequence[tuple[str, Sequence[Stroke]]], settings: RasterSettings) -> None:
        """`symbols`: token and strokes of each."""
        self._symbols, self._settings = symbols, settings

    def __len__(self) -> int:
        return len(self._symbols)

    def __iter__(self) -> Iterator[Sample | Reject]:
        for number, (token, strokes) in enumerate(self._symbols):
            yield Sample(f"symbol-{number:05d}", (token,), draw(strokes, self._settings))

    def pictures(self, ids: Sequence[str]) -> dict[str, Picture]:
        wanted = set(ids)
        return {s.id: s.picture for s in self if isinstance(s, Sample) and s.id in wanted}


def evenly(symbols: Iterable[tuple[str, Sequence[Stroke]]], each: int) -> list[tuple[str, Sequence[Stroke]]]:
    """At most `each` symbols of a class, spread over all of it; what is no single token is left out."""
    classes: dict[str, list[Sequence[Stroke]]] = defaultdict(list)
    for token, strokes in symbols:
        if len(tokenize(token)) == 1:
            classes[token].append(strokes)
    return [
        (token, found[index])
        for token, found in sorted(classes.items())
        for index in _spread(len(found), each)
    ]


def split_symbols(folder: Path) -> Iterator[tuple[str, Sequence[Stroke]]]:
    """The symbols that the inks of a split say the strokes of. Raises FileNotFoundError."""
    inks = InkTable([read_table(folder, ["strokes", "symbols"])])
    for index in range(len(inks)):
        strokes = inks.strokes(index)
        for symbol in inks.symbols(index):
            yield symbol.token, [strokes[number] for number in symbol.strokes]


def _spread(total: int, limit: int) -> list[int]:
    count = min(limit, total) if limit else total
    return [index * total // count for index in range(count)]


def _is_inkml(path: Path) -> bool:
    return path.suffix.lower() == ".inkml" and path.is_file()


def _id(file: str) -> str:
    return file[: -len(".inkml")]


def _decoded(png: bytes) -> Picture:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)
