"""A folder of pictures and the list of what is written on them, `labels.csv` or `labels.jsonl`, as splits."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.data.shards import SPLITS

LISTS = ("labels.csv", "labels.jsonl")
FIELDS = ("file", "latex", "writer", "split")

_DELIMITERS = (",", ";", "\t")  # spreadsheets write what their country uses


class LabelsError(ValueError):
    """The list can't be used; the message names the file, the line and what to do."""


class Entry(BaseModel):
    """One picture of the list."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    file: str = Field(min_length=1)  # relative to the folder
    latex: str
    writer: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Splits:
    """The pictures of each split, sorted by file, and how they were told apart, for people."""

    entries: Mapping[str, Sequence[tuple[Path, Entry]]]  # with the folder that `file` is relative to
    told: str


def labels_file(folder: Path) -> Path | None:
    """The list of a folder, None where it has none. Raises LabelsError where it has both."""
    found = [folder / name for name in LISTS if (folder / name).is_file()]
    if len(found) > 1:
        raise LabelsError(f"{folder}: both {' and '.join(LISTS)}; keep one of them")
    return found[0] if found else None


def read_splits(folder: Path, seed: int, valid: float, test: float) -> Splits:
    """The splits of a folder: one subfolder each, or told by the list's `split`, or made by writer.

    `valid` and `test` are the shares of pictures that those two get where they are made. Raises LabelsError.
    """
    listed = labels_file(folder)
    if listed is None:
        return _of_subfolders(folder)
    entries = read_labels(listed)
    if any(entry.split for entry in entries):
        groups: dict[str, list[tuple[Path, Entry]]] = {split: [] for split in SPLITS}
        for entry in entries:
            if entry.split not in SPLITS:
                raise LabelsError(
                    f"{listed}: split: {entry.file} has {entry.split or 'none'}; give every row one of "
                    f"{', '.join(SPLITS)}, or none at all"
                )
            groups[entry.split].append((folder, entry))
        return Splits(groups, f"split as {listed.name} says")
    return _by_writer(folder, entries, seed, valid, test)


def read_labels(path: Path) -> list[Entry]:
    """All entries of a list, sorted by file. Raises LabelsError."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # Excel writes a byte order mark
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it so") from None
    except OSError as error:
        raise LabelsError(f"{path}: {error.strerror}") from None
    rows = _csv_rows(path, text) if path.suffix == ".csv" else _json_rows(path, text)
    lines: dict[str, int] = {}
    entries = []
    for line, row in rows:
        try:
            entry = Entry.model_validate({name: value for name, value in row.items() if value != ""})
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            raise LabelsError(
                f"{path}, line {line}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            ) from None
        place = PurePosixPath(entry.file.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts:
            raise LabelsError(f"{path}, line {line}: file: {entry.file} is not below {path.parent}")
        entry = entry.model_copy(update={"file": place.as_posix()})
        if entry.file in lines:
            raise LabelsError(
                f"{path}, line {line}: file: {entry.file} is in line {lines[entry.file]} already; remove one"
            )
        lines[entry.file] = line
        entries.append(entry)
    if not entries:
        raise LabelsError(f"{path}: no row; give each picture one, with {' and '.join(FIELDS[:2])}")
    return sorted(entries, key=lambda entry: entry.file)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    header = text.partition("\n")[0]
    reader = csv.reader(StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=header.count), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if missing := [name for name in FIELDS[:2] if name not in names]:
            raise LabelsError(
                f"{path}: no column {' and '.join(missing)}; the first line names the columns: "
                f"{', '.join(FIELDS)} (the last two may be left out)"
            )
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(names):
                raise LabelsError(
                    f"{path}, line {reader.line_num}: {len(cells)} values for {len(names)} columns; put "
                    'LaTeX that has a comma in quotes: "f(x,y)"'
                )
            yield reader.line_num, {"latex": "", **dict(zip(names, cells, strict=True))}
    except csv.Error as error:
        raise LabelsError(f"{path}, line {reader.line_num}: {error}") from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise LabelsError(f"{path}, line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise LabelsError(f'{path}, line {number}: not an object such as {{"file": …, "latex": …}}')
        yield number, row


def _of_subfolders(folder: Path) -> Splits:
    entries: dict[str, list[tuple[Path, Entry]]] = {}
    for split in SPLITS:
        listed = labels_file(folder / split)
        entries[split] = [] if listed is None else [(folder / split, e) for e in read_labels(listed)]
    if not any(entries.values()):
        fault = "has no list of labels" if folder.is_dir() else "is not there"
        raise LabelsError(
            f"{folder} {fault}; put {' or '.join(LISTS)} there, or into its folders {', '.join(SPLITS)} "
            "(docs/pictures.md)"
        )
    return Splits(entries, "one folder a split")


def _by_writer(folder: Path, entries: Sequence[Entry], seed: int, valid: float, test: float) -> Splits:
    """Test and valid get whole writers; where there are too few of them, pictures, whoever wrote them."""
    writers = {entry.writer for entry in entries if entry.writer}
    groups: dict[str, list[Entry]] = defaultdict(list)
    apart = len(writers) >= len(SPLITS)
    for entry in entries:
        groups[f"writer {entry.writer}" if apart and entry.writer else f"picture {entry.file}"].append(entry)
    if len(groups) < len(SPLITS):
        raise LabelsError(f"{folder}: {len(groups)} pictures are too few for {len(SPLITS)} splits; add some")
    # By hash, not by shuffling: who is added later moves few of the others to another split.
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    found = {}
    for split, share in (("test", test), ("valid", valid)):
        found[split] = _take(order, groups, share * len(entries))
        order = [name for name in order if name not in found[split]]
    found["train"] = order
    told = f"split by writer ({len(writers)} writers)" if apart else (
        f"split by picture, since the list names {len(writers) or 'no'} writers: one person's hand may be in "
        "train and test, so expect worse of new writers"
    )  # fmt: skip
    return Splits(
        {
            split: sorted(
                ((folder, entry) for name in found[split] for entry in groups[name]), key=lambda e: e[1].file
            )
            for split in SPLITS
        },
        told,
    )


def _take(order: Sequence[str], groups: Mapping[str, Sequence[Entry]], wanted: float) -> list[str]:
    """Groups that together have about so many pictures; at least one."""
    taken: list[str] = []
    count = 0
    for name in order:
        size = len(groups[name])
        if abs(count + size - wanted) < abs(count - wanted):
            taken.append(name)
            count += size
    return taken or [min(order, key=lambda name: len(groups[name]))]
