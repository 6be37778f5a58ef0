"""Stages run through DVC in a small project: order, caching, time limits, and recovery after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from components.orchestration.dvc_runner import (
    PipelineRun,
    Plan,
    StageError,
    StageRun,
    plan,
    restore_lock,
    run_stage,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

PROJECT = {
    "second": {"cmd": "cp one two", "deps": ["one"], "outs": ["two"]},
    "first": {"cmd": "python make.py", "deps": ["make.py"], "outs": ["one"]},
    "aside": {"cmd": "echo aside >three", "outs": ["three"]},
}
MAKE = "print('making'); open('one', 'w').write('1')\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "config", "core.analytics", "false"], check=True)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": PROJECT}, sort_keys=False))
    Path("make.py").write_text(MAKE)
    return tmp_path


def test_a_stage_is_due_if_it_changed_or_depends_on_one_that_ran() -> None:
    dependencies = {"a": frozenset[str](), "b": frozenset({"a"}), "c": frozenset({"b"})}
    found = Plan(("a", "b", "c"), dependencies, frozenset({"c"}))
    assert [found.is_due(stage, {"a"}) for stage in found.order] == [False, True, True]
    assert not found.is_due("b", set())


def test_a_run_lists_the_stages_that_were_not_cached() -> None:
    runs = StageRun("a", "cached", 0), StageRun("b", "restored", 1), StageRun("c", "ran", 2)
    assert PipelineRun(runs).changed == ("b", "c")


def test_order_and_dependencies_are_those_of_dvc_yaml(project: Path) -> None:
    found = plan()
    assert set(found.order) == set(PROJECT) and found.order.index("first") < found.order.index("second")
    assert found.dependencies["second"] == {"first"} and not found.dependencies["first"]
    assert found.changed == set(PROJECT)


def test_a_stage_runs_once_and_then_is_cached(project: Path) -> None:
    lines: list[str] = []
    assert run_stage("first", lines.append, 60).outcome == "ran"
    assert lines == ["making"], "its own lines, and none of DVC's"
    assert run_stage("first", lines.append, 60).outcome == "cached"
    assert plan().changed == {"second", "aside"}


def test_forced_a_stage_runs_although_nothing_changed(project: Path) -> None:
    lines: list[str] = []
    assert run_stage("first", lines.append, 60).outcome == "ran"
    assert run_stage("first", lines.append, 60, force=True).outcome == "ran"
    assert lines == ["making", "making"]


def test_a_stage_whose_earlier_outputs_are_restored_counts_as_changed(project: Path) -> None:
    """DVC's run cache: no stage runs, but those that depend on the outputs have to."""
    for content in (MAKE, MAKE.replace("'1'", "'2'"), MAKE):
        Path("make.py").write_text(content)
        lines: list[str] = []
        outcome = run_stage("first", lines.append, 60).outcome
    assert outcome == "restored" and not lines
    assert Path("one").read_text() == "1"


def test_a_failed_stage_reports_the_last_lines_of_its_output(project: Path) -> None:
    Path("make.py").write_text("print('looking'); raise SystemExit('make: there is no ink in data/ink')\n")
    with pytest.raises(StageError) as raised:
        run_stage("first", print, 60)
    message = str(raised.value)
    assert "make: there is no ink in data/ink" in message and "looking" in message
    assert "reproduce" not in message, "none of DVC's own lines"


def test_a_broken_dvc_yaml_is_named(project: Path) -> None:
    Path("dvc.yaml").write_text("stages:\n  first:\n    cmd: [\n")
    with pytest.raises(StageError, match=r"dvc\.yaml"):
        plan()


def test_a_stage_that_hangs_is_killed_with_all_that_it_started(project: Path) -> None:
    Path("make.py").write_text(
        "import subprocess, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "print('waiting for ever', flush=True); time.sleep(1000)\n"
    )
    start = time.monotonic()
    with pytest.raises(StageError, match=r"pipeline\.time_limits(.|\n)*waiting for ever"):
        run_stage("first", print, 6)
    assert time.monotonic() - start < 40
    assert gone(int(Path("child").read_text()))
    Path("make.py").write_text(MAKE)
    assert run_stage("first", print, 60).outcome == "ran", "DVC is not left locked"


def test_a_stage_whose_flow_was_killed_is_killed_before_the_next_run(project: Path) -> None:
    hang = "import time, os\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(1000)\n"
    Path("make.py").write_text(hang)
    flow = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from components.orchestration.dvc_runner import run_stage; run_stage('first', print, 600)",
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    until = time.monotonic() + 60
    while not Path("pid").exists() or not Path("pid").read_text():
        assert time.monotonic() < until and flow.poll() is None
        time.sleep(0.05)
    flow.send_signal(signal.SIGKILL)
    flow.wait()
    left = int(Path("pid").read_text())
    assert psutil.pid_exists(left), "the stage outlives its flow, for the moment"
    Path("make.py").write_text(MAKE)
    assert "first" in plan().changed, "the stage does not hold DVC's locks any more"
    assert gone(left)
    assert run_stage("first", print, 60).outcome == "ran"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_truncated_lock_file_is_restored_from_its_backup(project: Path, share: float) -> None:
    for stage in ("first", "second"):
        run_stage(stage, print, 60)
    lock = Path("dvc.lock")
    whole = lock.read_text()
    lock.write_text(whole[: int(share * len(whole))])  # as after a kill while DVC writes
    restore_lock()
    assert lock.read_text() == whole
    assert plan().changed == {"aside"}


def gone(pid: int) -> bool:
    """Return whether a process ends within some seconds."""
    try:
        process = psutil.Process(pid)
        until = time.monotonic() + 5
        while time.monotonic() < until and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.02)
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
