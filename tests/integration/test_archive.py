"""The source from an archive, without git: it is set up, stages run, and the lineage says `unknown`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.registry.mlflow_client import git_commit
from tests.integration.clone import Clone


@pytest.fixture
def archive(tmp_path: Path) -> Clone:
    """The repository's files alone, with this environment as the one that setup.sh has made."""
    archive = Clone(tmp_path)
    shutil.rmtree(tmp_path / ".git")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(Path(sys.executable).parent)
    shutil.copy(tmp_path / "requirements.lock", tmp_path / ".venv/requirements.lock")
    return archive


def test_the_pipeline_runs_without_git(archive: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.run("./setup.sh")
    assert archive.repro("download") == ["download"]
    monkeypatch.chdir(archive.folder)
    assert git_commit() == "unknown"


def test_dvc_uses_a_repository_that_is_made_later(archive: Clone) -> None:
    archive.run("./setup.sh")
    settings = archive.folder / ".dvc/config.local"
    assert "no_scm" in settings.read_text(encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=archive.folder, check=True)
    archive.run("./setup.sh")
    assert "no_scm" not in settings.read_text(encoding="utf-8")
