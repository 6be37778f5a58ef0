"""Several processes are one training: torchrun and params.yaml agree, one writes, all end together."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from components.config import Params
from components.model.distributed import World, rank, world_of
from tests.stages.test_train import folder as folder

ROOT = Path(__file__).parents[2]
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "RANK": "3",
    "LOCAL_RANK": "1",
}


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)


def with_(params: Params, **train: object) -> Params:
    return params.model_copy(update={"train": params.train.model_copy(update=train)})


def test_torchrun_says_how_many_there_are(params: Params, torchrun: None) -> None:
    assert world_of(with_(params, devices="auto", nodes=2).train) == World(2, 2)
    assert world_of(with_(params, devices=2).train).size == 4 and rank() == 3


@pytest.mark.parametrize(
    ("train", "name"),
    [({"devices": 3}, "train.devices"), ({"nodes": 3}, "train.nodes"), ({"batch": 3}, "train.batch")],
)
def test_what_does_not_agree_is_refused(
    params: Params, torchrun: None, train: dict[str, object], name: str
) -> None:
    with pytest.raises(ValueError, match=name):
        world_of(with_(params, **train).train)


def test_without_torchrun_params_decide(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    assert world_of(with_(params, devices=2).train) == World(2, 1) and rank() == 0


CODE = """
import sys
from components.stages import train
from tests.stages.test_train import with_rate
params = with_rate(0.002)
update = {"devices": "auto", "epochs": int(sys.argv[1])}
params = params.model_copy(update={"train": params.train.model_copy(update=update)})
train.train(params)
"""


def launch(folder: Path, processes: int, epochs: int) -> subprocess.Popen[str]:
    script = folder / "run.py"
    script.write_text(CODE)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    return subprocess.Popen(
        [*command, str(script), str(epochs)], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


@pytest.mark.nightly
def test_two_processes_train_as_one_does_and_end_together(folder: Path) -> None:
    losses = {}
    for processes in (1, 2):
        done = launch(folder, processes, 2)
        output = done.communicate(timeout=300)[0]
        assert done.returncode == 0, output
        assert output.count("epoch   2/2") == 1, "one process tells"
        assert len(list((folder / "data/training").glob("*/"))) == 1
        with (folder / "reports/history.csv").open(newline="") as file:
            losses[processes] = float(list(csv.DictReader(file))[-1]["valid_loss"])
    assert losses[2] == pytest.approx(losses[1], rel=0.1)

    shutil.rmtree(folder / "data/training")
    running = launch(folder, 2, 200)
    workers: list[psutil.Process] = []
    deadline = time.monotonic() + 120
    while not list((folder / "data/training").glob("*/last.ckpt")) and time.monotonic() < deadline:
        workers = psutil.Process(running.pid).children()
        time.sleep(0.5)
    assert len(workers) == 2
    os.kill(running.pid, signal.SIGKILL)  # torchrun itself: nobody tells the workers
    running.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
