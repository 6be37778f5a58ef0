"""Records that the service keeps and the flows read: files by day, in a folder or in an object store.

A store is a folder (`data/feedback`) or an address that fsspec opens (`s3://BUCKET/feedback`,
`file:///mnt/shared/feedback`). A record is there whole or not at all, and each writer chooses names of its
own, so that any number of replicas write into one store without a lock while a flow reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator

from components.addresses import os_errors
from components.files import atomic_write


def _place(value: str | Path) -> str | Path:
    return Path(value) if isinstance(value, str) and "://" not in value else value


# In settings: the path of a folder, or an address as text.
Place: TypeAlias = Annotated[str | Path, AfterValidator(_place)]

PROBE = ".writable"  # hidden, so that nobody reads it

_AT_ONCE = 128  # records read concurrently

# Nobody waits a minute for an object store: a request for prediction may be behind it.
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,  # others write as well
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": 20,
            "retries": {"mode": "standard", "max_attempts": 3},
        },
    }
}


@dataclass(frozen=True)
class RecordFile:
    """A record as its store lists it."""

    name: str  # relative to the store, such as 2026-11-27/3f9c2a7b.json
    size: int  # bytes
    version: str  # changes with the content


class RecordStore:
    """Records under one address, by day."""

    def __init__(self, where: Path | str) -> None:
        """Does not connect. Raises ValueError for an address that nothing installed opens."""
        # Imported here: a service that keeps no records does not wait for it.
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        self.where = str(where)
        protocol = self.where.partition("://")[0]
        try:
            self._fs, self._root = url_to_fs(self.where, **_OPTIONS.get(protocol, {}))
        except (ImportError, ValueError) as error:
            raise ValueError(f"{self.where}: {error}") from None
        self._root = self._root.rstrip("/")
        self.folder = Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    def __str__(self) -> str:
        return self.where

    def write(self, day: date, name: str, content: bytes) -> None:
        """Write a record, in the place of one of the same name. Raises OSError."""
        if self.folder is not None:
            path = self.folder / day.isoformat() / name
            with atomic_write(path, durable=True, concurrent=True) as temporary:
                temporary.write_bytes(content)
            return
        with os_errors(self.where):
            self._fs.pipe_file(self._path(f"{day.isoformat()}/{name}"), content)

    def exists(self, day: date, name: str) -> bool:
        """Whether there is such a record. Raises OSError."""
        with os_errors(self.where):
            return bool(self._fs.exists(self._path(f"{day.isoformat()}/{name}")))

    def files(self, suffix: str, day: date | None = None) -> list[RecordFile]:
        """The records with this suffix, of one day or of all, by name; hidden ones excepted.

        None where nothing has been written yet. Raises OSError.
        """
        with os_errors(self.where):
            found = self._fs.find(self._path(day.isoformat()) if day else self._root, detail=True)
        listed = [(path[len(self._root) + 1 :], info) for path, info in found.items()]
        return sorted(
            (
                RecordFile(name, int(info["size"] or 0), _version(info))
                for name, info in listed
                if name.endswith(suffix) and not name.rpartition("/")[2].startswith(".")
            ),
            key=lambda file: file.name,
        )

    def days(self) -> list[date]:
        """The days that have records, oldest first. Raises OSError."""
        with os_errors(self.where):
            try:
                paths = self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        names = [path.rstrip("/").rpartition("/")[2] for path in paths]
        return sorted(day for name in names if (day := _day(name)) is not None)

    def read(self, names: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each record's content, or why it can't be read. Some are fetched at once; memory holds
        no more. Raises OSError where the store as a whole is away."""
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            if self.folder is not None:
                yield from ((name, _local(self.folder / name)) for name in some)
                continue
            with os_errors(self.where):
                paths = [self._path(name) for name in some]
                contents = self._fs.cat(paths, on_error="return")
            for name, path in zip(some, paths, strict=True):
                content = contents[path]
                yield name, content if isinstance(content, (bytes, OSError)) else OSError(str(content))

    def remove(self, day: date) -> None:
        """Remove a day's records, if there are any. Raises OSError."""
        with os_errors(self.where):
            try:
                self._fs.rm(self._path(day.isoformat()), recursive=True)
            except FileNotFoundError:  # another replica was faster
                return

    def check(self) -> None:
        """Write a hidden file. Raises OSError where records can't be written."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / PROBE, concurrent=True) as temporary:
                temporary.touch()
            return
        with os_errors(self.where):
            self._fs.pipe_file(self._path(PROBE), b"\n")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _local(path: Path) -> bytes | OSError:
    try:
        return path.read_bytes()
    except OSError as error:
        return error


def _version(info: dict[str, Any]) -> str:
    """What a listing says that changes with the content: a hash, or else the time."""
    known = ("ETag", "etag", "md5Hash", "mtime", "LastModified")
    return str(next((info[name] for name in known if name in info), ""))


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None
