"""Archives of data: downloaded with resume, verified, and unpacked atomically."""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import httpx
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from components.files import atomic_folder

_CHUNK = 1 << 20
_BUSY = (408, 429, 500, 502, 503, 504)  # transient HTTP errors, worth a retry

# What the standard library raises of broken archives; the last three also of passwords and odd headers.
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError),
    *(RuntimeError, ValueError, IndexError),
)


class ArchiveError(ValueError):
    """The archive is unavailable, unexpected or unsafe; the message says which."""


class _MemberError(Exception):
    """An unsafe or unreadable member."""


def fetch(
    url: str, target: Path, *, bytes: int | None, sha256: str | None, tries: int = 6, pause: float = 1.0
) -> None:
    """Download `url` to `target`, verified and complete or not at all.

    What has come is kept in `target`.part; a broken download goes on from there (HTTP Range and If-Range,
    RFC 9110, section 14), in this call or in the next one. Gives up after `tries` failures in a row that
    brought nothing; waits `pause` seconds, then twice as long, and so on, between them. A `target` that is
    there is checked and kept.

    Raises ArchiveError.
    """
    if target.exists():
        check(target, bytes, sha256)
        return
    if not url.startswith(("http://", "https://")):
        raise ArchiveError(f"{url}: not an address that starts with http:// or https://")
    part = target.with_name(f"{target.name}.part")
    reached = failures = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _progress(target.name) as advance, httpx.Client(follow_redirects=True, timeout=30) as client:
            while fault := _go_on(client, url, part, advance):
                size = part.stat().st_size if part.exists() else 0
                failures = 0 if size > reached else failures + 1
                reached = max(reached, size)
                if failures >= tries:
                    raise ArchiveError(f"{url}: {fault}; {size:,} bytes are in {part}: run again to resume")
                time.sleep(pause * 2**failures)
        try:
            check(part, bytes, sha256)
        except ArchiveError as error:
            part.unlink()  # resuming would not help
            _validator(part).unlink(missing_ok=True)
            raise ArchiveError(f"{url}: {error}; it is removed") from None
        part.replace(target)
    except OSError as error:
        raise ArchiveError(
            f"{part}: {error.strerror}; the partial download is kept: run again to resume"
        ) from None
    _validator(part).unlink(missing_ok=True)


def check(path: Path, bytes: int | None, sha256: str | None) -> None:
    """Verify size and checksum (None: any). Raises ArchiveError."""
    if bytes is not None and path.stat().st_size != bytes:
        raise ArchiveError(f"{path} has {path.stat().st_size:,} bytes, expected {bytes:,}")
    if sha256 is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise ArchiveError(f"{path} has the SHA-256 {found}, expected {sha256}")


def _go_on(client: httpx.Client, url: str, part: Path, advance: Callable[[int, int | None], None]) -> str:
    """Download the missing rest of `part`. Returns why it is incomplete, or "" if it is complete."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have and _validator(part).exists():
        headers |= {"Range": f"bytes={have}-", "If-Range": _validator(part).read_text()}
    try:
        with client.stream("GET", url, headers=headers) as response:
            answer = f"the server answers {response.status_code} {response.reason_phrase}"
            if response.status_code == 416:  # nothing is left, or the part belongs to another file
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return ""
                part.unlink(missing_ok=True)
                return answer
            if response.status_code in _BUSY:
                return answer
            if not response.is_success:
                raise ArchiveError(f"{url}: {answer}")
            return _receive(response, part, have, advance)
    except httpx.TransportError as error:
        return str(error) or type(error).__name__
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise ArchiveError(f"{url}: {error}") from None


def _receive(
    response: httpx.Response, part: Path, have: int, advance: Callable[[int, int | None], None]
) -> str:
    """Append the body to the partial download if the server resumed it, else start anew."""
    resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    if response.status_code == 206 and not resumed:
        part.unlink(missing_ok=True)
        return "the server sent another range than the one asked for"
    size = have if resumed else 0
    length = response.headers.get("Content-Length")
    total = size + int(length) if length else None
    with part.open("ab" if resumed else "wb") as file:
        if not resumed:
            _remember(response, part)
        advance(size, total)
        for chunk in response.iter_raw():  # as received: larger chunks would be lost with the connection
            file.write(chunk)
            size += len(chunk)
            advance(size, total)
    return ""


def _remember(response: httpx.Response, part: Path) -> None:
    """Keep the server's validator of this version, so that two versions are never joined."""
    tag = response.headers.get("ETag", "W/")
    version = response.headers.get("Last-Modified") if tag.startswith("W/") else tag
    _validator(part).unlink(missing_ok=True)
    if version:
        _validator(part).write_text(version)


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def unpack(archive: Path, target: Path, wanted: Callable[[PurePosixPath], bool] = lambda path: True) -> None:
    """Unpack the `wanted` files of a .zip or .tar.*, replacing `target` atomically.

    Members are checked whether wanted or not. Modes, owners and times are not taken over.

    Raises ArchiveError where the archive can't be read to its end, where a member is a link or a device or
    lies outside the target, and where the disk is full.
    """
    members = _zip_members if archive.suffix.lower() == ".zip" else _tar_members
    unreadable = f"{archive}: can't be read as {'zip' if members is _zip_members else 'tar'}"
    try:
        size = archive.stat().st_size
        with atomic_folder(target) as part, archive.open("rb") as raw, _progress(archive.name) as advance:
            for name, file in members(raw):
                path = _inside(name)
                if wanted(path):
                    _write(file, part / path)
                advance(raw.tell(), size)
    except _MemberError as error:
        raise ArchiveError(f"{archive}: {error}; nothing was unpacked") from None
    except _UNREADABLE as error:
        raise ArchiveError(f"{unreadable}: {error}; if it is truncated, download it again") from None
    except OSError as error:
        if error.errno is None:  # raised by gzip and bz2 for foreign bytes
            raise ArchiveError(f"{unreadable}: {error}; download it again") from None
        where = error.filename or target
        raise ArchiveError(f"unpacking {archive}: {where}: {error.strerror}; nothing was kept") from None


def _tar_members(raw: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=raw, mode="r:*") as archive:
        seen: Any = archive
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            if file is not None:
                yield member.name, file
            elif not member.isdir():
                raise _MemberError(f"{member.name!r} is a link or a device")
            seen.members = []  # tarfile would keep all members: a gigabyte for MathWriting


def _zip_members(raw: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(raw) as archive:
        for member in archive.infolist():
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _MemberError(f"{member.filename!r} is a link or a device")
            if not member.is_dir():
                with archive.open(member) as file:
                    yield member.filename, file


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise _MemberError(f"{name!r} lies outside the target folder")
    return path


def _write(file: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        shutil.copyfileobj(file, out, _CHUNK)


@contextlib.contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar of bytes; yields a function of the bytes done and in total."""
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
