"""The processes of one training: how many there are, which one this is, and that they end together."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

import torch

from components.config import TrainParams

_WATCH = 1.0  # seconds between two looks at the parent


@dataclass(frozen=True)
class World:
    """All processes of a training, each on a device of its own."""

    devices: int  # of each node
    nodes: int

    @property
    def size(self) -> int:
        return self.devices * self.nodes


ALONE = World(1, 1)


def world_of(train: TrainParams) -> World:
    """The processes that torchrun started, or that `train.devices` and `train.nodes` ask for.

    Raises ValueError where both say something and differ, or where a batch does not suffice for all.
    """
    world = _of_torchrun() or World(_devices(train), train.nodes)
    asked = {"train.devices": (train.devices, world.devices), "train.nodes": (train.nodes, world.nodes)}
    for name, (value, found) in asked.items():
        if value not in ("auto", 1, found):
            raise ValueError(f"{name} is {value}, but torchrun has started {found}: make them agree")
    if world.size > train.batch:
        raise ValueError(f"train.batch is {train.batch} for {world.size} processes: each needs an ink")
    return world


def rank() -> int:
    """The number of this process among all of the training; 0 writes."""
    if "RANK" in os.environ:  # torchrun
        return int(os.environ["RANK"])
    local, node = (int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "NODE_RANK"))
    return local + node  # Lightning's launcher: 0 on one process alone


def end_with_parent() -> None:
    """End this process when the one that started it has ended, however it did.

    Rank 0, or torchrun, may be killed; without this the others would wait for it for half an hour.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _of_torchrun() -> World | None:
    """What torchrun says; None without it, and in processes that Lightning started by itself."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    total, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    return World(local, total // local)


def _devices(train: TrainParams) -> int:
    if train.devices == "auto":
        return max(1, torch.cuda.device_count())
    return int(train.devices)
