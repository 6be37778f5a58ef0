"""A change of the source folders is reported once, and not before it is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config import Params
from components.data.change_detection import fingerprint, settled_change, source_folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ink").mkdir()
    return tmp_path / "ink"


def test_a_change_is_reported_once_it_has_settled(folder: Path, tmp_path: Path) -> None:
    def poll() -> bool:
        return settled_change(fingerprint([folder]), tmp_path / "state.json")

    assert not poll(), "the first call has nothing to compare with"
    assert not poll()
    (folder / "a.inkml").write_text("<ink/>")
    assert not poll(), "files may still be being written"
    (folder / "b.inkml").write_text("<ink/>")
    assert not poll()
    assert poll()
    assert not poll(), "once"
    (folder / "a.inkml").unlink()
    assert not poll()
    assert poll(), "a deleted file is a change too"


def test_temporary_files_do_not_count(folder: Path) -> None:
    before = fingerprint([folder])
    (folder / ".a.inkml.part").write_text("<ink")
    assert fingerprint([folder, folder / "missing"]) == before
    (folder / "a.inkml").write_text("<ink/>")
    assert fingerprint([folder]) != before


def test_the_users_folders_are_watched_if_they_are_the_source(params: Params) -> None:
    feedback = Path("data/feedback")
    assert list(source_folders(params.data, feedback)) == [feedback]
    own = params.data.model_copy(update={"source": "folder"})
    splits = {Path(f"data/ink/{split}") for split in ("train", "valid", "test")}
    assert set(source_folders(own, feedback)) == {feedback, *splits}
