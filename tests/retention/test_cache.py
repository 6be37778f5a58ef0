"""The DVC cache loses what nothing refers to and is old; what champions were made from stays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from dvc.repo import Repo

from components.registry.model_versions import ModelVersion
from components.retention.cache import CACHE, unused_objects

pytestmark = pytest.mark.slow

DAY = 86400


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project in which a folder and a file have been replaced; all objects are ten days old."""
    monkeypatch.chdir(tmp_path)
    with Repo.init(".", no_scm=True) as repo:
        for content in ("one", "two"):
            Path("folder").mkdir(exist_ok=True)
            Path("folder/a").write_text(f"a {content}")
            Path("file").write_text(content)
            repo.add(["folder", "file"])
    for path in objects():
        os.utime(path, (path.stat().st_mtime - 10 * DAY,) * 2)
    return tmp_path


def objects() -> set[Path]:
    return {path for path in Path(".dvc/cache/files").rglob("*") if path.is_file()}


def removed(days: float, *protected: ModelVersion) -> set[str]:
    """The contents of what goes."""
    found = list(unused_objects(days, protected))
    assert all(removal.setting == CACHE and removal.size for removal in found)
    contents = {Path(removal.name).read_text() for removal in found}
    for removal in found:
        removal.run()
    return contents


def folder_of(content: str) -> str:
    """The hash of the folder whose file says this."""
    for path in objects():
        if path.name.endswith(".dir"):
            [entry] = json.loads(path.read_text())
            inner = Path(".dvc/cache/files/md5", entry["md5"][:2], entry["md5"][2:])
            if inner.exists() and inner.read_text() == content:
                return path.parent.name + path.name
    raise AssertionError(content)


def test_what_the_folder_uses_and_what_is_young_stays(repo: Path) -> None:
    assert removed(11) == set() == removed(0)
    gone = removed(9)
    assert {"one", "a one"} <= gone and not {"two", "a two"} & gone
    assert len(gone) == 3, "the folder's list of files goes as well"
    with Repo(".") as dvc:
        assert dvc.status() == {}
    assert removed(9) == set()


def test_what_a_protected_version_was_made_from_stays(repo: Path) -> None:
    champion = ModelVersion("ocr", "1", "run", {"dvc.folder": folder_of("a one"), "bundle": "x"}, {})
    assert removed(9, champion) == {"one"}


def test_a_machine_that_has_pulled_nothing_has_nothing_to_remove(repo: Path) -> None:
    for path in objects():
        path.unlink()
    assert removed(9) == set()
