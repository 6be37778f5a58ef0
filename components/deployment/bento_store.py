"""A store of Bentos that several machines share: a folder, or an address that fsspec opens.

A Bento is one archive in it, NAME/VERSION.bento, with its model inside. Its SHA-256 is kept apart, with the
model version in the registry: what is pulled is what was tested.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import bentoml
from fsspec.core import url_to_fs

from components.addresses import modified, os_errors

_SUFFIX = ".bento"


class BentoStoreError(ValueError):
    """The store is unavailable, or has other content than the registry says; the message names it."""


@dataclass(frozen=True)
class StoredBento:
    """A Bento in the store."""

    tag: str
    at: datetime  # UTC, when it was pushed
    size: int  # bytes


class BentoStore:
    """The Bentos at one address. All methods raise BentoStoreError."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        with self._errors():
            self._fs, self._root = url_to_fs(self.address)

    def push(self, tag: str) -> str:
        """Upload a Bento of this machine; return the SHA-256 of its archive, 64 hexadecimal digits."""
        with tempfile.TemporaryDirectory(prefix="bento-") as folder, self._errors():
            archive = Path(bentoml.bentos.export_bento(tag, str(Path(folder) / f"exported{_SUFFIX}")))
            digest = _sha256(archive)
            path = self._path(tag)
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            part = f"{path}.{digest[:8]}.part"  # so that a reader finds all of it, or nothing
            self._fs.put_file(str(archive), part)
            self._fs.mv(part, path)
        return digest

    def has(self, tag: str) -> bool:
        """Return whether the store has a Bento."""
        with self._errors():
            return bool(self._fs.exists(self._path(tag)))

    def pull(self, tag: str, digest: str) -> str:
        """Download a Bento, compare its digest, and put it into this machine's store; return its tag.

        Of an archive with another digest nothing is unpacked.
        """
        with tempfile.TemporaryDirectory(prefix="bento-") as folder, self._errors():
            archive = Path(folder) / f"pulled{_SUFFIX}"
            self._fs.get_file(self._path(tag), str(archive))
            if (found := _sha256(archive)) != digest:
                raise BentoStoreError(
                    f"{self._named(tag)} has the SHA-256 {found}, the registry says {digest}: it is not the "
                    "Bento that was tested, and is not used"
                )
            return str(bentoml.bentos.import_bento(str(archive)).tag)

    def bentos(self, name: str) -> list[StoredBento]:
        """Return the Bentos of one name, the newest first."""
        folder = f"{self._root}/{name}"
        with self._errors():
            found = self._fs.find(folder, detail=True)
        bentos = [
            StoredBento(f"{name}:{Path(path).name.removesuffix(_SUFFIX)}", modified(info), int(info["size"]))
            for path, info in found.items()
            if path.endswith(_SUFFIX)
        ]
        return sorted(bentos, key=lambda bento: bento.at, reverse=True)

    def remove(self, tag: str) -> None:
        """Remove a Bento."""
        with self._errors():
            self._fs.rm(self._path(tag))

    def _path(self, tag: str) -> str:
        name, _, version = tag.partition(":")
        return f"{self._root}/{name}/{version}{_SUFFIX}"

    def _named(self, tag: str) -> str:
        return f"{self.address}/{tag.replace(':', '/')}{_SUFFIX}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with os_errors(self.address):
                yield
        except OSError as error:
            raise BentoStoreError(f"deployment.store: {error}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
