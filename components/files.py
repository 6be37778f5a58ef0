"""Write files and folders atomically: a reader finds the old content or the new, never half of it.

Needs the standard library alone: every other package may import it.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path, *, durable: bool = False, concurrent: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block ends without error.

    Missing parent folders are created. After an error, and after a kill once the same file is written again,
    nothing is left of the temporary file. `durable` flushes the content to the disk before the rename;
    `concurrent` gives each writer a temporary file of its own, where several may write `path` at once.
    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part" if concurrent else _part(path))
    try:
        yield temporary
        if durable:
            _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; put it in the place of `folder` when the block ends without error.

    After an error, and after a kill once the same folder is written again, nothing is left of the temporary
    folder. Raises OSError.
    """
    temporary = folder.with_name(_part(folder))
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Rename `new` to `target`. An existing `target` is deleted only after `new` has taken its place."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text atomically. Raises OSError."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(content: object, path: Path) -> None:
    """Write indented JSON atomically, for people and for DVC's metrics. Raises OSError, TypeError."""
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", path)


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]], path: Path) -> None:
    """Write a table with a header atomically, as `dvc plots` and spreadsheets read it. Raises OSError."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _part(path: Path) -> str:
    return f".{path.name}.part"


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
