"""The number of cores that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def cores(root: Path = Path("/")) -> int:
    """The cores of the process's affinity mask, limited by the CPU quotas of its control groups.

    A container with a CPU quota (Kubernetes' limits, Cloud Run, `docker run --cpus`) sees all cores of its
    host: a thread for each would stop all of them, again and again, as soon as the quota is used up. Part of
    a core counts as a whole one. Python from 3.13 on looks at affinity alone as well.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    given = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([given, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """CPU quotas in cores of the enclosing control groups that have one: `cpu.max` of cgroup v2, the two
    `cfs` files of v1 (kernel documentation, admin-guide/cgroup-v2 and scheduler/sched-bwc)."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers
        inner = top / path.lstrip("/")
        # Inside a container the path may be the host's, which is not visible there: the top is its own.
        for folder in {top, inner, *(p for p in inner.parents if p.is_relative_to(top))}:
            if controllers:
                limit = [_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
            else:
                limit = _read(folder / "cpu.max").split()
            if len(limit) == 2 and limit[0].strip().isdigit():  # else "max", -1, or no such file
                yield int(limit[0]) / int(limit[1])


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError:  # another system, or an invisible group: no known limit
        return ""
