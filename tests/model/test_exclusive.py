"""Of two trainers in a folder one trains; the one that a killed DVC has left is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from components.model.exclusive import TrainerRunsError, only_trainer

ROOT = Path(__file__).parents[2]
TRAINER = """
import sys, time
from pathlib import Path
from components.model.exclusive import only_trainer
with only_trainer(Path(sys.argv[1])):
    print("training", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def dvc(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program called `dvc` that has started a trainer."""
    program = tmp_path / "dvc"
    program.write_text(
        f"import subprocess\ncode = {TRAINER!r}\n"
        f"subprocess.run([{sys.executable!r}, '-c', code, {str(tmp_path / 'runs')!r}])\n"
    )
    running = subprocess.Popen(
        [sys.executable, str(program), "repro"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert running.stdout is not None and running.stdout.readline() == "training\n"
    children = psutil.Process(running.pid).children(recursive=True)
    yield running
    for process in [*children, running]:
        if isinstance(process, psutil.Process) and process.is_running():
            process.kill()
    running.kill()
    running.wait()


def test_a_trainer_whose_dvc_was_killed_is_ended(
    dvc: subprocess.Popen[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [trainer] = psutil.Process(dvc.pid).children()
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.wait()
    time.sleep(0.2)
    assert trainer.is_running(), "a killed dvc leaves it"
    with only_trainer(tmp_path / "runs"):
        assert not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE
    assert str(trainer.pid) in capsys.readouterr().err


def test_a_trainer_that_is_wanted_is_left_alone(dvc: subprocess.Popen[str], tmp_path: Path) -> None:
    [trainer] = psutil.Process(dvc.pid).children()
    with pytest.raises(TrainerRunsError, match=f"process {trainer.pid} "), only_trainer(tmp_path / "runs"):
        pass
    assert trainer.is_running()


def test_the_lock_is_free_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with only_trainer(tmp_path / "runs"):
            pass
