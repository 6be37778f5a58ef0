"""Many small files in few ZIP archives: DVC and file systems handle 10⁵ small files slowly.

Archives lie in the folder whose files they hold, `packed-00000.zip` and on, and hold neighbours in the order
of names. Where one archive ends depends on the names at that place alone, so a file that is added, changed or
taken away changes one archive, not all that follow.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EIO
from itertools import groupby
from pathlib import Path

PACK_ABOVE = 20_000  # files of a folder; DVC takes seconds for these, and minutes for a million
_FILES = 2048  # in an archive, on average
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of each file: the same files give the same archives


def pack_files(folder: Path, companion: str, files: int = _FILES) -> None:
    """Replace all files in a folder by archives of some `files` files each, and remove its subfolders.

    `a` and `a` + `companion` are never separated. Raises OSError.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for number, group in enumerate(_groups(names, companion, files)):
        with zipfile.ZipFile(_archive(folder, number), "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in group:
                info = zipfile.ZipInfo(name, _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, (folder / name).read_bytes())
                (folder / name).unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()


def packed_files(folder: Path) -> dict[str, str]:
    """Each file that is packed in a folder's archives, with its archive's name. Raises OSError."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("packed-*.zip")):
        with _opened(path) as archive:
            found |= dict.fromkeys(archive.namelist(), path.name)
    return found


def unpack_files(folder: Path, archives: Iterable[str], names: Sequence[str], target: Path) -> None:
    """Extract those of the files that the archives hold. Raises OSError."""
    wanted = set(names)
    for name in archives:
        with _opened(folder / name) as archive:
            archive.extractall(target, [held for held in archive.namelist() if held in wanted])


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise OSError(EIO, f"broken ({error}); `dvc repro --force download` writes it anew", path) from None


def _groups(names: Sequence[str], companion: str, files: int) -> Iterator[list[str]]:
    """Cut sorted names where a hash says so, or where there are too many."""
    group: list[str] = []
    ordered = sorted(names, key=lambda name: (name.removesuffix(companion), name))
    for key, together in groupby(ordered, lambda name: name.removesuffix(companion)):
        group += together
        if zlib.crc32(key.encode()) % files == 0 or len(group) >= 8 * files:
            yield group
            group = []
    if group:
        yield group


def _archive(folder: Path, number: int) -> Path:
    return folder / f"packed-{number:05d}.zip"
