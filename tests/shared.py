"""Folders that one worker of pytest-xdist makes and the others find, and what folders hold."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from components.files import atomic_folder


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` has filled, once in a run of pytest. Tests don't change it: they take a copy."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has its own below
    folder = base / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            with atomic_folder(folder) as temporary:
                make(temporary)
    return folder


def copy_of(folder: Path, target: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(folder, target, symlinks=True)
    return target


def contents(folder: Path) -> dict[str, bytes]:
    """Each file by its path in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
