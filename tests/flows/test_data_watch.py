"""New ink is told once, and not before it lies there whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config import Params
from flows.data_watch import fingerprint, news, watched


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ink").mkdir()
    return tmp_path / "ink"


def test_new_ink_is_told_once_when_it_is_quiet(folder: Path) -> None:
    def look() -> bool:
        return news(fingerprint([folder]))

    assert not look(), "there is nothing to compare the first look with"
    assert not look()
    (folder / "a.inkml").write_text("<ink/>")
    assert not look(), "somebody may still be writing"
    (folder / "b.inkml").write_text("<ink/>")
    assert not look()
    assert look()
    assert not look(), "once"
    (folder / "a.inkml").unlink()
    assert not look()
    assert look(), "what is gone changes the data too"


def test_what_is_being_written_does_not_count(folder: Path) -> None:
    before = fingerprint([folder])
    (folder / ".a.inkml.part").write_text("<ink")
    assert fingerprint([folder, folder / "not-there"]) == before
    (folder / "a.inkml").write_text("<ink/>")
    assert fingerprint([folder]) != before


def test_the_users_own_folders_are_watched_where_they_are_the_source(params: Params) -> None:
    feedback = Path("data/feedback")
    assert list(watched(params.data, feedback)) == [feedback]
    own = params.data.model_copy(update={"source": "folder"})
    assert set(watched(own, feedback)) == {
        feedback,
        *(Path(f"data/ink/{s}") for s in ("train", "valid", "test")),
    }
