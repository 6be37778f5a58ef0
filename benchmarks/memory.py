"""Memory of processes, as benchmarks count it."""

from __future__ import annotations

import psutil


def own_memory(process: psutil.Process) -> int:
    """Bytes that only this process has (USS); 0 when it has ended."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


def allocated(process: psutil.Process) -> int:
    """Bytes of memory that belong to no file."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)
