"""How many cores a process may keep busy, in containers of all kinds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.recognizer.cpu import cores


@pytest.fixture(autouse=True)
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of 64 cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    return root


V1 = "sys/fs/cgroup/cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 64),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 64),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "400000 100000"}, 4),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "10000 100000"}, 1),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "12800000 100000"}, 64),
        ({"proc/self/cgroup": "0::/kube/pod1", "sys/fs/cgroup/cpu.max": "300000 100000"}, 3),
        (
            {"proc/self/cgroup": "0::/all/one", "sys/fs/cgroup/all/cpu.max": "200000 100000",
             "sys/fs/cgroup/all/one/cpu.max": "800000 100000"},
            2,
        ),
        (
            {"proc/self/cgroup": "3:memory:/a\n2:cpu,cpuacct:/a\n0::/", f"{V1}/a/cpu.cfs_quota_us": "500000",
             f"{V1}/a/cpu.cfs_period_us": "100000", f"{V1}/cpu.cfs_quota_us": "-1",
             f"{V1}/cpu.cfs_period_us": "100000"},
            5,
        ),
    ],
    ids=[
        "no groups", "no limit", "four", "one and a half", "a tenth", "more than there are",
        "a path of the host's", "a group within another", "cgroup v1",
    ],
)  # fmt: skip
def test_a_quota_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert cores(machine(tmp_path, files)) == expected


def test_affinity_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 7})
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "400000 100000"}
    assert cores(machine(tmp_path, files)) == 2
