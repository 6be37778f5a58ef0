"""DVC runs a stage again when what it reads has changed: its code's dependencies are what it imports."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.architecture.imports import ROOT, imports, modules

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

# A change of these changes no stage's outputs, or shows by other means. Neither they nor what they import
# is a dependency.
NOT_TRACKED = {
    "components",  # a version and the patience of threads
    "components.config",  # the values count, and DVC compares them: `params`
    "components.files",  # how files are written, not what
    "components.cli.base",  # what the command line takes
    "components.data.dask_client",  # who does the work
    "components.registry.mlflow_client",  # where runs are logged
}

# Read without being imported: `register` packs it with the model.
PACKED = {"register": "components.registry.pyfunc_model"}


def code_dependencies(stage: str) -> list[Path]:
    """The stage's `deps` that are code."""
    return [ROOT / dep for dep in STAGES[stage]["deps"] if dep.startswith("components/")]


def imported_files(stage: str) -> set[Path]:
    """The files that the stage's module imports, directly or not; empty ones say nothing."""
    found, waiting = set[str](), [f"components.stages.{stage}", PACKED.get(stage, "")]
    while waiting:
        module = waiting.pop()
        if module in modules() and module not in found | NOT_TRACKED:
            found.add(module)
            waiting += imports(module)
    files = (modules()[module] for module in found)
    return {file for file in files if file.name != "__init__.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_the_code_that_it_imports(stage: str) -> None:
    dependencies = code_dependencies(stage)
    missing = {
        file for file in imported_files(stage)
        if not any(file == dependency or dependency in file.parents for dependency in dependencies)
    }  # fmt: skip
    assert sorted(str(file.relative_to(ROOT)) for file in missing) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_import(stage: str) -> None:
    files = imported_files(stage)
    unused = [
        dependency for dependency in code_dependencies(stage)
        if not any(file == dependency or dependency in file.parents for file in files)
    ]  # fmt: skip
    assert [str(path.relative_to(ROOT)) for path in unused] == []


@pytest.mark.parametrize("stage", STAGES)
def test_no_dependency_lies_in_another(stage: str) -> None:
    dependencies = code_dependencies(stage)
    assert [path for path in dependencies if set(path.parents) & set(dependencies)] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_module(stage: str) -> None:
    assert STAGES[stage]["cmd"] == f"python -m components.stages.{stage}"
    assert f"components.stages.{stage}" in modules()


def test_bytecode_does_not_count_as_code() -> None:
    """A package as a dependency is all files in it: importing it must not change it."""
    assert "__pycache__/" in (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()


def test_git_tracks_no_output_of_a_stage() -> None:
    """DVC refuses to run such a stage in a fresh clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git repository")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    outs = [
        next(iter(out)) if isinstance(out, dict) else out
        for stage in stages
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    ]
    assert outs
    tracked = subprocess.run(
        ["git", "ls-files", "--", *outs], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert tracked.stdout == ""
