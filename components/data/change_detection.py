"""Detect that files in the source folders have changed and are complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.config import DataParams
from components.files import write_json
from components.records import RecordStore

STATE = Path(".dvc/tmp/ink.json")


def source_folders(data: DataParams, feedback: Path | str) -> Iterator[Path | str]:
    """Yield the folders that receive ink, pictures and corrections; corrections may have an address."""
    yield feedback
    if data.source == "folder":
        yield from (data.folder.train, data.folder.valid, data.folder.test)
    if "pictures" in data.sources:
        yield data.pictures.folder


def fingerprint(folders: Iterable[Path | str]) -> str:
    """Return a hash of the names, sizes and modification times of all files, hidden ones excepted.

    In an object store the objects' hashes stand for their times. Raises OSError.
    """
    total = hashlib.sha256()
    for folder in folders:
        if isinstance(folder, str):
            for file in RecordStore(folder).files(""):
                total.update(f"{folder}/{file.name}\0{file.size}\0{file.version}\n".encode())
            continue
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                stat = path.stat()
                total.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return total.hexdigest()


def settled_change(current: str, state: Path = STATE) -> bool:
    """Return whether the fingerprint differs from the last reported one and has stopped changing.

    Two calls in a row must see the same fingerprint: files may still be being written. Each change is
    reported once; the first call ever only records the state.
    """
    initial = {"reported": current, "last": current}
    before = json.loads(state.read_text(encoding="utf-8")) if state.exists() else initial
    settled, reported = current == before["last"], before["reported"]
    write_json({"reported": current if settled else reported, "last": current}, state)
    return settled and current != reported
