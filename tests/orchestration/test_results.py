"""What the pipeline made leaves the folder: outputs go to the DVC remote, dvc.lock to git."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.orchestration.results import ResultsError, commit_lock, push_outputs
from components.registry.mlflow_client import git_commit


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def dvc(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with a first dvc.lock, and another file."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "factory@example.org")
    git("init", "-q", "-b", "main")
    Path("dvc.lock").write_text("schema: '2.0'\n")
    Path("params.yaml").write_text("seed: 1\n")
    git("add", ".")
    git("commit", "-qm", "First")
    return folder


def test_the_lock_alone_is_committed_and_once(project: Path) -> None:
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    Path("params.yaml").write_text("seed: 2\n")
    assert commit_lock("Record the results", push=False)
    assert git("show", "--name-only", "--format=%s").split() == ["Record", "the", "results", "dvc.lock"]
    assert git("status", "--porcelain") == "M params.yaml"
    assert not commit_lock("Record the results", push=False)
    assert git("rev-list", "--count", "HEAD") == "2"


def test_a_commit_is_pushed_also_by_a_later_run(project: Path, tmp_path: Path) -> None:
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    with pytest.raises(ResultsError, match=r"^pipeline\.record: "):
        commit_lock("Record the results", push=True)
    git("init", "-q", "--bare", str(tmp_path / "remote"))
    git("remote", "add", "origin", str(tmp_path / "remote"))
    git("config", "push.autoSetupRemote", "true")
    assert not commit_lock("Record the results", push=True)
    assert git("--git-dir", str(tmp_path / "remote"), "log", "-1", "--format=%s", "main") == (
        "Record the results"
    )


def test_a_commit_s_name_says_whether_anything_but_the_lock_differs(project: Path) -> None:
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    assert git_commit() == git("rev-parse", "HEAD")
    Path("params.yaml").write_text("seed: 2\n")
    assert git_commit() == f"{git('rev-parse', 'HEAD')}-dirty"


def test_outside_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() == "unknown"


@pytest.mark.slow
def test_outputs_are_pushed_to_the_default_remote(project: Path, tmp_path: Path) -> None:
    dvc("init", "-q")
    dvc("config", "core.analytics", "false")
    stage = {"cmd": "echo made >out", "outs": ["out"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"make": stage}}))
    dvc("repro")
    with pytest.raises(ResultsError, match=r"^pipeline\.push: .*dvc remote add"):
        push_outputs()
    dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    push_outputs()
    assert [path.read_text() for path in (tmp_path / "store/files").rglob("*") if path.is_file()] == [
        "made\n"
    ]
